"""Fills templates: Jinja2 in a sandbox that cannot reach out, run for long or write much.

The service and the service in memory use the same one. A template's author need not be trusted: nothing can be called
but `range` and the views of mappings, and what would write or count without end is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2 import Template as Compiled
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from millrace.contracts.rendering_work import BUDGET, Metered, Work, calculated, metered, shown

MOST_CHARACTERS = 65_536
MOST_IN_A_RANGE = 1_000
LONGEST_TITLE = 500
FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape", "int",
    "items", "join", "last", "length", "list", "lower", "max", "min", "reverse", "round", "sort", "string", "sum",
    "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip
VIEWS = ("items", "keys", "values", "get")
# What could call itself or others, and what would collect a text without anybody counting it.
REFUSED = (
    nodes.Macro, nodes.CallBlock, nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends, nodes.AssignBlock,
    nodes.FilterBlock,
)  # fmt: skip
# What Python's parser and compiler raise for a text that is nested too deeply or has a number of too many digits.
UNREADABLE = (RecursionError, SyntaxError, ValueError, OverflowError, MemoryError)


class Text(NamedTuple):
    """A template, or what has been made of one. `html` is None where there is only text."""

    title: str
    message: str
    html: str | None = None


class TemplateProblem(ValueError):
    """Raised when a template cannot be read or filled; the text says which part and why.

    Attributes:
        part: `title`, `message` or `html`.
        missing: variables that the template needs and that were not given.
    """

    def __init__(self, part: str, detail: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(f"{part}: {detail}")
        self.part, self.missing = part, missing


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops: ClassVar[frozenset[str]] = frozenset({"+", "-", "*", "/", "//", "%", "**"})  # type: ignore[misc]

    def is_safe_callable(self, obj: Any) -> bool:
        if obj is _range:
            return True
        return isinstance(getattr(obj, "__self__", None), dict) and getattr(obj, "__name__", "") in VIEWS

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return calculated(context[BUDGET], operator, left, right, super().call_binop)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MOST_IN_A_RANGE:
        raise SecurityError(f"a range has at most {MOST_IN_A_RANGE} numbers")
    return made


@lru_cache(maxsize=2)
def _environment(html: bool) -> ImmutableSandboxedEnvironment:
    # Nothing is calculated while a template is compiled, where no work is counted.
    made = _Sandbox(
        undefined=StrictUndefined, autoescape=html, cache_size=0, keep_trailing_newline=False, optimized=False,
        finalize=shown,
    )  # fmt: skip
    made.filters = metered({name: made.filters[name] for name in FILTERS})
    made.globals = {"range": _range}
    return made


def check(text: Text) -> None:
    """Return where the template can be read.

    Raises:
        TemplateProblem: its syntax is wrong, or it has what no template may have.
    """
    for part, source in _parts(text):
        _compiled(part, source)


def render(text: Text, context: Mapping[str, Any]) -> Text:
    """The template, filled.

    Raises:
        TemplateProblem: a variable is missing, or it makes too much or nothing at all.
    """
    made = {part: _rendered(part, source, context) for part, source in _parts(text)}
    title = " ".join(made["title"].split())
    if not title or len(title) > LONGEST_TITLE:
        raise TemplateProblem("title", f"comes to {len(title)} characters; it has 1 to {LONGEST_TITLE}")
    return Text(title, made["message"].strip(), made.get("html"))


def fallbacks(locale: str | None) -> tuple[str, ...]:
    """The locales that are looked for, the best first; the empty one is what a template has for everybody."""
    if locale is None:
        return ("",)
    words = locale.replace("_", "-").split("-")
    return (*("-".join(words[:count]) for count in range(len(words), 0, -1)), "")


def _parts(text: Text) -> list[tuple[str, str]]:
    return [(part, source) for part, source in zip(Text._fields, text, strict=True) if source is not None]


@lru_cache(maxsize=500)
def _compiled(part: str, source: str) -> tuple[Compiled, frozenset[str]]:
    """The template, and the variables that it names.

    Raises:
        TemplateProblem: its syntax is wrong, or it has what no template may have.
    """
    environment = _environment(part == "html")
    try:
        tree = environment.parse(source)
        for kind in REFUSED:
            if tree.find(kind) is not None:
                raise TemplateProblem(part, f"{kind.__name__.lower()} is not allowed; a template stands for itself")
        if any(each.recursive for each in tree.find_all(nodes.For)):
            raise TemplateProblem(part, "a loop may not be recursive")
        named = frozenset(meta.find_undeclared_variables(tree) - {"range"})
        Metered().visit(tree)
        tree.set_environment(environment)
        # Whatever else is wrong, such as a filter that there is not, shows when it is compiled.
        code = environment.compile(tree)
    except TemplateSyntaxError as error:
        raise TemplateProblem(part, f"line {error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise TemplateProblem(part, str(error)) from None
    except TemplateProblem:
        raise
    except UNREADABLE as error:
        raise TemplateProblem(part, f"is nested too deeply, or has a number that is too long: {error}") from None
    return Compiled.from_code(environment, code, environment.make_globals(None)), named


def _rendered(part: str, source: str, context: Mapping[str, Any]) -> str:
    template, named = _compiled(part, source)
    size, pieces = 0, []
    try:
        for piece in template.generate({**context, BUDGET: Work()}):
            size += len(piece)
            if size > MOST_CHARACTERS:
                raise TemplateProblem(part, f"comes to more than {MOST_CHARACTERS} characters")
            pieces.append(piece)
    except UndefinedError as error:
        missing = tuple(sorted(named - context.keys()))
        told = f"missing: {', '.join(missing)}" if missing else str(error.message)
        raise TemplateProblem(part, told, missing) from None
    except TemplateProblem:
        raise
    except (TemplateError, SecurityError) as error:
        raise TemplateProblem(part, str(error)) from None
    except Exception as error:
        # Whatever a template does with values of the wrong kind.
        raise TemplateProblem(part, f"{type(error).__name__}: {error}") from None
    return "".join(pieces)
