"""Plain nested values read into typed dataclasses, and what is said of a value that does not fit.

A dataclass declares its keys with a type and, by `Annotated`, rules. Known are dataclasses, bool, int, float,
str, None, Literal, tuples of one type and unions of these: what `sweeper.schema` needs, no more.
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Rule:
    """What a value must hold beyond its type, and how to say it."""

    takes: str
    holds: Callable[[Any], bool]


Text = Annotated[str, Rule("not empty", bool)]
Positive = Annotated[float, Rule("above 0", lambda x: x > 0)]
NotNegative = Annotated[float, Rule("0 or more", lambda x: x >= 0)]
Share = Annotated[float, Rule("from 0 to 1", lambda x: 0 <= x <= 1)]
BelowOne = Annotated[float, Rule("from 0 to below 1", lambda x: 0 <= x < 1)]
Count = Annotated[int, Rule("1 or more", lambda x: x >= 1)]
Whole = Annotated[int, Rule("0 or more", lambda x: x >= 0)]
Seed = Annotated[int, Rule("from 0 to 4294967295", lambda x: 0 <= x < 2**32)]
Several = Rule("(one or more, no two the same)", lambda x: 0 < len(x) == len(set(x)))
Ends = Rule(
    "(the two ends of a range, the smaller first, or three values or more to choose from)",
    lambda x: x[0] < x[1] if len(x) == 2 else len(set(x)) == len(x) > 2,
)


def keys(section: type, prefix: str = "") -> dict[str, Any]:
    """Every key with its type, dotted: `{"name": ..., "head.dropout": ..., ...}`."""
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(section, include_extras=True).items():
        found |= keys(kind, f"{prefix}{name}.") if _is_section(kind) else {f"{prefix}{name}": kind}
    return found


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def bare(kind: Any) -> Any:
    """The type without its rules."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def similar(word: str, known: Sequence[str]) -> list[str]:
    """At most three keys that may be meant: this very one, the same last part, or a similar spelling."""
    if word in known:
        return [word]
    last = word.rpartition(".")[2]
    near = [key for key in known if key.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if not near:
        by_last = {key.rpartition(".")[2]: key for key in known}
        near = [by_last[part] for part in difflib.get_close_matches(last, by_last, n=2, cutoff=0.7)]
    return near[:3]


def suggest(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?`, or nothing."""
    near = similar(word, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def read_into(kind: type, values: Any, known: Sequence[str], problems: list[str], prefix: str = "") -> Any:
    """The dataclass `kind` from nested plain values.

    Args:
        kind: the dataclass.
        values: a value for each of its keys.
        known: every dotted key there is, for suggestions.
        problems: grows by one line for every unknown key and every value that does not fit.
        prefix: what stands before this section's keys, e.g. `train.early_stop.`.

    Returns:
        The instance, or None where there are problems.
    """
    if not isinstance(values, Mapping):
        problems.append(f"{prefix[:-1]}: got {shown(values)}, takes the keys {', '.join(get_type_hints(kind))}")
        return None
    hints = get_type_hints(kind, include_extras=True)
    for name in values:
        if name not in hints:
            problems.append(f"{prefix}{name}: there is no such key{suggest(f'{prefix}{name}', known)}")
    read_values = {}
    for name, inner in hints.items():
        key = f"{prefix}{name}"
        if _is_section(inner):
            read_values[name] = read_into(inner, values.get(name, {}), known, problems, f"{key}.")
            continue
        fits, read_values[name] = _value(inner, values.get(name))
        if not fits:
            problems.append(refusal(key, values.get(name), inner))
    return None if problems else kind(**read_values)


def _is_section(kind: Any) -> bool:
    return is_dataclass(kind)


def _value(kind: Any, value: Any) -> tuple[bool, Any]:
    """Whether the value fits the type and its rules, and the value as that type."""
    if len(alternatives(kind)) > 1:
        tried = (_value(one, value) for one in alternatives(kind))
        return next((each for each in tried if each[0]), (False, None))
    if get_origin(kind) is Annotated:
        inner, *rules = get_args(kind)
        fits, value = _value(inner, value)
        return fits and all(rule.holds(value) for rule in rules), value
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            return False, None
        items = [_value(get_args(kind)[0], item) for item in value]
        return all(fits for fits, _ in items), tuple(item for _, item in items)
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if kind in (NoneType, bool):
        return isinstance(value, kind), value
    if isinstance(value, bool) or value is None:
        return False, None
    if kind is str:  # a column may be called 0, a data set 2024
        return isinstance(value, str | int | float), str(value)
    if kind is int:
        return isinstance(value, int), value
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return is_number, float(value) if is_number else value


def refusal(key: str, value: Any, kind: Any) -> str:
    """`train.epochs: got 0, takes a whole number, 1 or more`."""
    choices = [choice for one in alternatives(kind) if get_origin(one) is Literal for choice in get_args(one)]
    hint = suggest(value, choices) if isinstance(value, str) else ""
    return f"{key}: got {shown(value)}, takes {', or '.join(_takes(one) for one in alternatives(kind))}{hint}"


def _takes(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        inner, *rules = get_args(kind)
        return " ".join([_takes(inner), *(rule.takes for rule in rules)])
    if get_origin(kind) is tuple:
        return f"a list [a, b, ...] of {_takes(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    return {NoneType: "null", bool: "true or false", str: "text", int: "a whole number", float: "a number"}[kind]


def shown(value: Any) -> str:
    """A value as one writes it on the command line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or "nothing"
