"""The nodes of a traced model: torch.fx writes the calls of a model down, and a node that stores is put behind one."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import fx, nn

from sparseref import SpecError

from .outputs import outputs_stored
from .selector import close
from .store import StoreAs


class _Tracer(fx.Tracer):
    """A module that stores, or whose output is stored by a hook, stays one call: it wants tensors, not placeholders."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, StoreAs) or bool(outputs_stored(m)) or super().is_leaf_module(m, module_qualified_name)


def traced(module: nn.Module, name: str = "") -> fx.GraphModule:
    """A module, with its full name -> a GraphModule over the same parameters and submodules.

    Errors: BUILD-5 where torch.fx cannot write it down, with the submodules that it may be able to.
    """
    tracer = _Tracer()
    try:
        graph = tracer.trace(module)
    except Exception as problem:
        # torch.fx promises no kind of exception: it runs the model's own code on placeholders
        inside = [child for child, _ in module.named_modules() if child and "." not in child]
        raise SpecError("BUILD-5", f"torch.fx cannot trace {name or 'the model'} ({type(module).__name__}): {problem}",
                        wanted="a forward without branches on values", given=f"{type(problem).__name__}",
                        fix=f"name a submodule ({', '.join(inside[:6]) or 'it has none'}), or a module's output: "
                        "set_interm(name=...) without node") from problem
    return fx.GraphModule(tracer.root, graph, type(module).__name__)


def store_nodes(module: fx.GraphModule, node: str, how: StoreAs) -> None:
    """Put `how` behind the nodes that a pattern names; every use of them sees what it gives.

    Errors: BUILD-5 for a name that fits none, with the nodes that there are.
    """
    known = [one for one in module.graph.nodes if one.op != "output"]
    inputs = [one for one in known if one.op == "placeholder"]
    chosen = [one for one in known if fnmatchcase(one.name, node)]
    if not chosen:                                                                         # BUILD-5
        names = [one.name for one in known]
        listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
        raise SpecError("BUILD-5", f"the traced model has no node {node!r}.", wanted=close(node, names), given=node,
                        fix=f"its nodes: {listed}")
    for one in chosen:
        target = f"store_{one.name}"
        module.add_module(target, how)
        with module.graph.inserting_after(inputs[-1] if one in inputs else one):
            put = module.graph.call_module(target, (one,))
        one.replace_all_uses_with(put, delete_user_cb=lambda user, put=put: user is not put)
    module.recompile()
