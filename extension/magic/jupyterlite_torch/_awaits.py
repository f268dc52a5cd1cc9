"""`await x` in a local cell, where `x` may be an array that was fetched before the cell."""

import ast
import sys


class AwaitTransform(ast.NodeTransformer):
    """Makes `await x` of a cell `await as_awaitable(x)`."""

    def visit_Await(self, node):
        """Rewrite one, where it stands."""
        match node.value:
            # What _transform.py makes of a magic, which is all that most cells with one consist of.
            case ast.Call(ast.Attribute(ast.Call(args=[ast.Constant("jupyterlite_torch")]))):
                return node
        self.generic_visit(node)
        call = ast.parse("__import__('jupyterlite_torch').as_awaitable()", mode="eval").body
        for each in ast.walk(call):
            ast.copy_location(each, node.value)
        call.args.append(node.value)
        node.value = call
        return node


def as_awaitable(value):
    """Return what gives an array or a number of NumPy when it is awaited; anything else as it is."""
    # Where NumPy has not been imported there is none.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _itself(value)
    return value


async def _itself(value):
    return value
