"""A declaration that cannot work is refused with every fault in it: the line, what is wrong, what would be right."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.registry import declaration, places
from gateway.registry.declaration import BadDeclaration

GOOD = """\
tenant = "acme"
name = "An appliance maker"

[[channels]]
name = "ozone"
unit = "ppb"
high = 500

[[models]]
gtin = "4006381333931"
name = "Purifier"

[[models.slots]]
code = "hepa"
name = "Filter"
predictor = "hit"
life_h = 1000
life_d = 365
load_channel = "ozone"
load_ref = 10
indicator_channel = "pressure_drop"
indicator_eol = 200
indicator_baseline = 40
levels = [50, 80,
  120, 160]
cost_early = 1
cost_late = 4
delivery_d = 3

[promotion]
least_cycles = 30
"""
YAML = """\
tenant: acme
name: An appliance maker
models:
  - gtin: "4006381333931"
    name: Purifier
    slots:
      - code: hepa
        name: Filter
        life_h: 1000
        life_d: 365
        cost_late: 4
"""


def refused(text: str, form: str = "toml") -> list[str]:
    with pytest.raises(BadDeclaration) as wrong:
        declaration.read(text, form)  # type: ignore[arg-type]  # one of the two forms
    return [line.strip() for line in str(wrong.value).splitlines()]


def test_a_good_one_is_taken_in_both_notations() -> None:
    """The same declaration as TOML and as YAML is the same declaration."""
    assert [50.0, 80.0, 120.0, 160.0] == declaration.read(GOOD).models[0].slots[0].levels
    as_toml = """
        tenant = "acme"
        name = "An appliance maker"
        [[models]]
        gtin = "4006381333931"
        name = "Purifier"
        [[models.slots]]
        code = "hepa"
        name = "Filter"
        life_h = 1000
        life_d = 365
        cost_late = 4
    """
    both = declaration.read(textwrap.dedent(as_toml)), declaration.read(YAML, "yaml")
    assert both[0].model_dump() == both[1].model_dump()


@pytest.mark.parametrize(
    ("was", "becomes", "line", "said"),
    [
        ('load_channel = "ozone"', 'load_channel = "ozon"', 19, "is no channel; did you mean 'ozone'?"),
        ('"pressure_drop"', '"pressuredrop"', 21, "did you mean 'pressure_drop'?"),
        ('"pressure_drop"', '"runtime"', 21, "is a counter, which only rises with use; name a gauge"),
        ('load_channel = "ozone"', 'load_channel = "volume"', 19, "name a gauge of how fast it rises"),
        ("levels = [50, 80,", 'levels = [50, "x",', 24, "number 2 of levels must be a number, not 'x'"),
        ("indicator_eol = 200", "indicator_eol = 20", 22, "lies below the baseline 40 of an indicator that rises"),
        ("indicator_eol = 200", "indicator_eol = 40", 22, "is the baseline itself"),
        ("indicator_eol = 200", "indicator_eol = 2e7", 22, "is never reached: the channel is believed from"),
        ("indicator_eol = 200", "indicator_eol = nan", 22, "must be a finite number"),
        ("levels = [50, 80,", "levels = [50, 180,", 24, "levels must rise one way to indicator_eol 200; 120"),
        ("levels = [50, 80,", "levels = [30, 80,", 24, "30 follows 40"),
        ("cost_early = 1", "cost_early = 0", 26, "cost_early must be above 0.0, not 0: what a day of life thrown away"),
        ("cost_late = 4", "cost_late = -4", 27, "cost_late must be above 0.0, not -4: what a day run past the end"),
        ("delivery_d = 3", "delivery_d = -1", 28, "delivery_d must be 0.0 or more"),
        ('predictor = "hit"', 'predictor = "hitt"', 16, "no predictor is called 'hitt'; did you mean 'hit'?"),
        ("life_h = 1000", "lifeh = 1000", 17, "'lifeh' is no key here; did you mean 'life_h'?"),
        ("life_d = 365\n", "", 13, "life_d is missing: rated days, which is all"),
        ('code = "hepa"', 'code = "HEPA"', 14, "lower case letters, digits and _"),
        ("4006381333931", "4006381333932", 10, "its check digit should be 1"),
        ("high = 500", "high = -1\nlow = 5", 8, "low 5 is not below high -1"),
        ("least_cycles = 30", "least_cycles = 0", 31, "least_cycles must be 1 or more"),
        ("least_cycles = 30", "cov80 = [0.9, 0.95]", 31, "does not hold 0.8"),
        ("load_ref = 10\n", "", 19, "load_channel and load_ref go together"),
        ("indicator_eol = 200\n", "", 21, "indicator_channel and indicator_eol go together"),
        ("load_ref = 10", 'load_ref = 10\ncovariates = ["td"]', 21, "is no channel; did you mean 'tds'?"),
        ("load_ref = 10", 'load_ref = 10\ncovariates = ["volume"]', 21, "is a counter, which only rises with use"),
        ("load_ref = 10", 'load_ref = 10\ncovariates = ["tds", "tds"]', 21, "covariate 'tds' is declared twice"),
        ("load_ref = 10", 'load_ref = 10\ncovariates = ["pressure_drop"]', 21, "'pressure_drop' is the indicator"),
        ('predictor = "hit"', 'predictor = "rated"\ncovariates = ["tds"]', 17, "learns nothing from covariates"),
        ('code = "hepa"', 'code = "hepa"\nfamily = "He Pa"', 15, "the same in every slot that belongs to it"),
    ],
)  # fmt: skip
def test_each_fault_names_its_line_and_the_remedy(was: str, becomes: str, line: int, said: str) -> None:
    """One key is wrong in an otherwise good file."""
    assert was in GOOD
    lines = refused(GOOD.replace(was, becomes))
    assert any(each.startswith(f"line {line}, ") and said in each for each in lines), lines


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    """Five mistakes, five lines; nobody runs the command five times."""
    text = GOOD
    for was, becomes in (
        ('"ozone"\nload_ref', '"ozon"\nload_ref'),
        ("indicator_eol = 200", "indicator_eol = 20"),
        ("cost_early = 1", "cost_early = 0"),
        ("cost_late = 4", "cost_late = -4"),
        ("life_h = 1000", 'life_h = "long"'),
    ):
        text = text.replace(was, becomes)
    head, *lines = refused(text)
    assert "the declaration has 6 faults:" == head  # the levels no longer lead to the end either
    assert [17, 19, 22, 24, 26, 27] == [int(line.split(",")[0].removeprefix("line ")) for line in lines]


@pytest.mark.parametrize(
    ("was", "becomes", "line", "said"),
    [
        ('"4006381333931"', "4006381333931", 4, 'write it in quotes: "4006381333931"'),
        ("cost_late: 4", "cost_late: 0", 11, "must be above 0.0"),
        ("life_d: 365", "life_days: 365", 10, "did you mean 'life_d'?"),
        ("life_d: 365", "life_d: 365\n        life_d: 30", 11, "'life_d' stands twice; keep one"),
        ("name: Filter", "name: &n Filter\n        code2: *n", 9, "anchors are not taken here"),
        ("models:", "models: [", None, "is not YAML"),
    ],
)
def test_yaml_has_lines_too(was: str, becomes: str, line: int | None, said: str) -> None:
    """Numbers that should be text, repeated keys and anchors included."""
    text = " ".join(refused(YAML.replace(was, becomes), "yaml"))
    assert said in text
    assert line is None or f"line {line}" in text


def test_an_indicator_that_falls_is_declared_as_one() -> None:
    """A flow that drops from 100 to 60: the end lies below the baseline because it falls."""
    falling = (
        GOOD.replace("indicator_eol = 200", "indicator_eol = 60\nindicator_falls = true")
        .replace("indicator_baseline = 40", "indicator_baseline = 100")
        .replace("levels = [50, 80,\n  120, 160]", "levels = [90, 80, 70]")
    )
    assert declaration.read(falling).models[0].slots[0].indicator_falls
    assert "set indicator_falls = true" in " ".join(refused(falling.replace("indicator_falls = true", "")))
    bare = falling.replace("levels = [90, 80, 70]", "").replace("indicator_baseline = 100", "")
    assert "needs indicator_baseline or levels" in " ".join(refused(bare))


def test_what_stands_twice_is_told() -> None:
    """Two slots of one code would overwrite each other."""
    again = GOOD.replace("[promotion]", '[[models.slots]]\ncode = "hepa"\nname = "Other"\nlife_d = 5\n\n[promotion]')
    assert "line 30, models.0.slots.1: the slot 'hepa' is declared twice; keep one" in refused(again)


def test_inline_tables_are_told_by_the_line_they_begin_on() -> None:
    """TOML written in another style has its lines as well."""
    text = (
        'tenant = "acme"\nname = "A"\n[[models]]\ngtin = "4006381333931"\nname = "P"\n'
        'slots = [{code = "hepa", name = "F", life_d = -1}]\n'
    )
    assert any(line.startswith("line 6, models.0.slots.0.life_d") for line in refused(text))


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Whatever stands in the file, it is a declaration or a refusal with words, in both notations."""
    said = []
    for form in ("toml", "yaml"):
        try:
            declaration.read(text, form)
        except BadDeclaration as wrong:
            said.append(str(wrong))
    assert all(said)


@given(st.sets(st.sampled_from(GOOD.splitlines()[3:])), st.integers(0, 40))
def test_any_file_with_lines_left_out_is_taken_or_refused_with_lines(gone: set[str], cut: int) -> None:
    """Half a file has lines as well."""
    kept = [line for i, line in enumerate(GOOD.splitlines()) if line not in gone and i != cut]
    try:
        declaration.read("\n".join(kept))
    except BadDeclaration as wrong:
        said = str(wrong).splitlines()
        assert "not TOML" in said[0] or all(line.strip().startswith("line ") for line in said[1:])


def test_lines_are_of_the_whole_file() -> None:
    """Comments, blank lines and values over several lines are counted."""
    _, lines = places.toml('a = 1\n# b\n\n[[t]]\nx = """\ntwo\nthree"""\ny = 2\n[[t]]\ny = 3\n')
    assert {"a": 1, "x": 5, "y0": 8, "y1": 10, "t1": 9} == {
        "a": lines[("a",)],
        "x": lines[("t", 0, "x")],
        "y0": lines[("t", 0, "y")],
        "y1": lines[("t", 1, "y")],
        "t1": lines[("t", 1)],
    }
