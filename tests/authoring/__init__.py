"""Where the frozen vectors come from: one list a file of spec/vectors/v1, and the program that compares them."""
