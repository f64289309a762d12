"""Templates: what they make, what they say is missing, and what an author who is not trusted cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.contracts.rendering import TemplateProblem, Text, check, fallbacks, render


def made(source: str, html: bool = False, **context: Any) -> str:
    text = render(Text("t", "" if html else source, source if html else None), context)
    return text.html or "" if html else text.message


def test_variables_loops_and_filters() -> None:
    items = [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    source = "{% for item in items %}{{ loop.index }}/{{ loop.length }} {{ item.name | upper }} {% endfor %}"
    assert made(source, items=items) == "1/2 A 2/2 B"
    assert made("{% for k, v in data.items() %}{{ k }}={{ v * 2 }};{% endfor %}", data={"x": 4}) == "x=8;"
    assert made("{% if name is defined %}{{ name }}{% else %}nobody{% endif %}") == "nobody"
    assert made("{{ name | default('nobody') }}") == "nobody"


def test_html_is_escaped_and_text_is_not() -> None:
    assert made("<b>{{ name }}</b>", html=True, name="<i>") == "<b>&lt;i&gt;</b>"
    assert made("{{ name }}", name="<i>") == "<i>"


def test_a_title_is_one_line_of_bounded_length() -> None:
    assert render(Text("  {{ a }}\n b ", ""), {"a": "x"}).title == "x b"
    for title in ("{{ '' }}", "{{ a }}"):
        with pytest.raises(TemplateProblem, match="title"):
            render(Text(title, ""), {"a": "x" * 501})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TemplateProblem, match="message: missing: file, user") as problem:
        made("{{ user }} {{ file }} {{ n }}", n=1)
    assert (problem.value.part, problem.value.missing) == ("message", ("file", "user"))
    with pytest.raises(TemplateProblem, match="has no attribute 'name'"):
        made("{{ user.name }}", user={})


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ broken", "line 1"),
        ("{% include 'x' %}", "include"),
        ("{% import 'x' as x %}", "import"),
        ("{% extends 'x' %}", "extends"),
        ("{% macro m() %}{% endmacro %}", "macro"),
        ("{% for x in y recursive %}{% endfor %}", "recursive"),
        ("{{ x | nothing }}", "nothing"),
        ("{{ 'x' | center(1000000000) }}", "center"),
        ("{{ x | attr('y') }}", "attr"),
        ("{% set x %}{% endset %}", "assignblock"),
        ("{% filter upper %}{% endfilter %}", "filterblock"),
        ("{{ " + "(" * 1_000 + "1" + ")" * 1_000 + " }}", "nested too deeply"),
        ("{{ x" + " | abs" * 5_000 + " }}", "nested too deeply"),
        ("{% if x %}" * 150 + "{% endif %}" * 150, "nested too deeply"),
        ("".join(f"{{% for i{n} in x %}}" for n in range(25)) + "{% endfor %}" * 25, "nested too deeply"),
        ("{{ " + "9" * 5_000 + " }}", "number that is too long"),
    ],
)
def test_what_no_template_may_have_is_refused_before_it_is_saved(source: str, why: str) -> None:
    with pytest.raises(TemplateProblem, match=why):
        check(Text("t", source))


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.__init__.__globals__ }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(1000000000) | list }}",
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% for a in range(1000) %}{{ long }}{% endfor %}",
        "{{ x.append(1) }}",
        "{{ d.update({}) }}",
        "{{ cycler(1, 2).next() }}",
        "{{ lipsum() }}",
        "{{ self }}{{ config }}",
        "{% set a = long %}" + "{% set a = a + a %}" * 40 + "x",
        "{% set a = long %}" + "{% set a = a ~ a %}" * 40 + "x",
        "{% set a = x %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% set a = x %}" + "{% set a = [a, a] | sum(start=[]) %}" * 40 + "x",
        "{% set a = 99999999 %}" + "{% set a = a * a %}" * 40 + "x",
        "{% set a = many | join(long) %}{% set b = many | join(a) %}x",
        "{{ 1 | round(-1000000000) }}",
        "{% for a in many %}{% if many | sort %}{% endif %}{% endfor %}",
        "{% for a in range(100) %}{% for b in range(100) %}"
        + "{% if a %}{% endif %}" * 1_000
        + "{% endfor %}{% endfor %}",
        "{% for a in range(1000) %}{% if many[:] %}{% endif %}{% if many == many %}{% endif %}{% endfor %}",
        "{{ 'x' is eq(many | list ~ many) }}{% for a in many %}{{ a is in(many) }}{% endfor %}",
    ],
)
def test_what_would_reach_out_or_run_on_is_stopped(source: str) -> None:
    with pytest.raises(TemplateProblem):
        made(source, x=[1], d={}, many=[0] * 5_000, long="y" * 1_000)


def test_what_is_bounded_is_enough_for_what_people_write() -> None:
    orders = [{"id": n, "title": f"Order {n}", "price": 2.5, "tags": ["new", "paid"]} for n in range(1_000)]
    source = (
        "{% set total = orders | sum(attribute='price') %}{% with most = orders | length %}"
        "{% for each in orders if each.price > 1 %}{{ each.id ~ ': ' ~ each.title }} {{ each.tags | join(', ') }}\n"
        "{% endfor %}{{ total | round(2) }} of {{ most }}{% endwith %}"
        "{% if orders[:3] == orders[:3] and 'new' in orders[0].tags and total is number %}!{% endif %}"
    )
    text = made(source, orders=orders)
    assert text.startswith("0: Order 0 new, paid\n1: Order 1")
    assert text.endswith("2500.0 of 1000!")
    assert made("{{ a ~ '<' }}", html=True, a="&") == "&amp;&lt;"


def test_the_best_language_comes_first() -> None:
    assert fallbacks("de-CH") == ("de-CH", "de", "")
    assert fallbacks("zh_Hant_TW") == ("zh-Hant-TW", "zh-Hant", "zh", "")
    assert fallbacks(None) == ("",)
