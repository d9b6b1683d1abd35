"""What the tests of recipes share: a small model with weights of every kind, and a recipe from its text."""

from sparseref_torch.recipe import Recipe
from torch import nn

HEAD = "version = 1\n"
RULE = HEAD + '[[weight]]\nname = "*.weight"\nformat = "csr:0.5"\n'


class Small(nn.Module):
    """Two Linears, a convolution, an embedding and a norm."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.conv = nn.Conv2d(4, 8, 3)
        self.norm = nn.LayerNorm(8)


def recipe(text):
    return Recipe.from_text(text, "my.toml")
