"""How much work a template may be: what its values come to is counted before anything is done with them.

A template needs no loop to grow without end: `{% set a = a + a %}` a few dozen times is enough, and so is a list that
holds itself twice. So whatever is shown, bound to a name, compared or handed to a filter is measured, as often as it is
mentioned, and all of it together may not come to more than `MOST_WORK`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, markup_join, str_join
from jinja2.visitor import NodeTransformer

MOST_ROUNDS = 10_000
MOST_WORK = 500_000
MOST_BITS = 256
MOST_DECIMALS = 20
CHARACTERS_EACH = 8
CHARGED, CONCATENATED, COUNTED = "charged", "concatenated", "counted"
# No template can name what has a space in its name.
BUDGET = " work"
PLAIN = " {}"


class Work:
    """What one rendering has left: rounds of loops, and units of work."""

    def __init__(self) -> None:
        self.rounds, self.left = MOST_ROUNDS, MOST_WORK

    def round(self, cost: int) -> None:
        """Counts one round of a loop whose body costs so much."""
        self.rounds -= 1
        if self.rounds < 0:
            raise SecurityError(f"all loops together may have {MOST_ROUNDS} rounds")
        self.spend(cost)

    def spend(self, units: int) -> None:
        """Counts work.

        Raises:
            SecurityError: it is more than there is left.
        """
        self.left -= units
        if self.left < 0:
            raise SecurityError("it is too much work: its values are too large, or used too often")

    def measure(self, *values: Any) -> None:
        """Counts values with whatever they hold; what is held twice counts twice."""
        rest = list(values)
        while rest:
            value = rest.pop()
            match value:
                case str() | bytes():
                    self.spend(1 + len(value) // CHARACTERS_EACH)
                case list() | tuple() | set() | frozenset():
                    self.spend(1 + len(value))
                    rest += value
                case dict():
                    self.spend(1 + 2 * len(value))
                    rest += value.keys()
                    rest += value.values()
                case range():
                    self.spend(1 + len(value))
                case _:
                    self.spend(1)


class Metered(NodeTransformer):
    """Rewrites a template so that its values are measured where they are bound, compared, joined or cut."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        cost = nodes.Const(sum(1 for each in node.body for _ in each.find_all(nodes.Node)), lineno=node.lineno)
        node.iter = _filter(node.iter, COUNTED, cost)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:
        self.generic_visit(node)
        node.node = _filter(node.node, CHARGED)
        return node

    def visit_With(self, node: nodes.With) -> nodes.Node:
        self.generic_visit(node)
        node.values = [_filter(each, CHARGED) for each in node.values]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _filter(node.expr, CHARGED)
        for operand in node.ops:
            operand.expr = _filter(operand.expr, CHARGED)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        node.args = [_filter(each, CHARGED) for each in node.args]
        if node.args:
            node.node = _filter(node.node, CHARGED)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter(node.node, CHARGED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCATENATED)


def _filter(value: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    assert isinstance(value, nodes.Expr)
    return nodes.Filter(value, name, list(args), [], None, None, lineno=value.lineno)


@pass_context
def shown(context: Context, value: Any) -> Any:
    """A value on its way into the text."""
    context[BUDGET].measure(value)
    return value


@pass_context
def _concatenated(context: Context, values: list[Any]) -> str:
    context[BUDGET].measure(values)
    return markup_join(values) if context.eval_ctx.autoescape else str_join(values)


@pass_context
def _counted(context: Context, values: Iterable[Any], cost: int) -> Iterator[Any]:
    work: Work = context[BUDGET]
    for value in values:
        work.round(cost)
        work.measure(value)
        yield value


def metered(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The filters, each of which measures what it is given; and those that `Metered` puts in."""
    plain = {PLAIN.format(name): each for name, each in filters.items()}
    own: dict[str, Callable[..., Any]] = {CHARGED: shown, CONCATENATED: _concatenated, COUNTED: _counted}
    return plain | {name: _measuring(name) for name in filters} | own


def _measuring(name: str) -> Callable[..., Any]:
    @pass_context
    def measuring(context: Context, value: Any, *args: Any, **named: Any) -> Any:
        work: Work = context[BUDGET]
        work.measure(value, args, named)
        match name:
            case "join":
                value = list(value)
                separator = str(args[0] if args else named.get("d", ""))
                work.spend(len(value) * len(separator) // CHARACTERS_EACH)
            case "sum":
                if not isinstance(args[1] if len(args) > 1 else named.get("start", 0), int | float):
                    raise SecurityError("sum adds numbers alone")
            case "round":
                decimals = args[0] if args else named.get("precision", 0)
                if not isinstance(decimals, int) or abs(decimals) > MOST_DECIMALS:
                    raise SecurityError(f"round has at most {MOST_DECIMALS} decimals")
        return context.environment.call_filter(PLAIN.format(name), value, list(args), named, context)

    return measuring


def calculated(work: Work, operator: str, left: Any, right: Any, calculate: Callable[[Any, str, Any, Any], Any]) -> Any:
    """What `left operator right` is.

    Raises:
        SecurityError: the result would be too large, or the operator is not for such values.
    """
    work.measure(left, right)
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if operator == "**" or not (numbers or operator == "+"):
        raise SecurityError(f"{operator} may only be used on two numbers, and ** not at all")
    result = calculate(None, operator, left, right)
    if isinstance(result, int) and result.bit_length() > MOST_BITS:
        raise SecurityError(f"a number has at most {MOST_BITS} bits")
    return result
