//! What counts as the same definition, in one version and between two.

use super::{Likeness, likeness};
use crate::schema::aspect::{Fact, Reading};

fn compare(reading: Reading, majors: [u32; 2], one: &str, two: &str) -> Likeness {
    let fact = |text: &str| Fact {
        text: text.to_owned(),
        reading,
    };
    let there = likeness(&fact(one), &fact(two), majors);
    let back = likeness(&fact(two), &fact(one), [majors[1], majors[0]]);
    assert_eq!(there, back, "the same in both directions");
    there
}

const TYPED: &str = "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b,]'::character \
                     varying])::text[])))";
const RESTORED: &str = "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, \
                        ('b,]'::character varying)::text])))";

#[test]
fn the_cast_of_an_array_may_stand_inside_it_in_any_version() {
    for majors in [[15, 15], [12, 18]] {
        for reading in [Reading::Expression, Reading::Query] {
            assert_eq!(compare(reading, majors, TYPED, RESTORED), Likeness::Same);
        }
    }
    let other = RESTORED.replace("'a'", "'c'");
    let likeness = compare(Reading::Expression, [15, 15], TYPED, &other);
    assert_eq!(likeness, Likeness::Different);
}

#[test]
fn in_one_version_parentheses_and_casts_mean_something() {
    for (one, two) in [("((a + b) * c)", "(a + (b * c))"), ("1", "(1)::bigint")] {
        let here = compare(Reading::Expression, [15, 15], one, two);
        assert_eq!(here, Likeness::Different);
        let across = compare(Reading::Expression, [15, 16], one, two);
        assert_eq!(across, Likeness::PerhapsSpelling);
    }
}

#[test]
fn another_constant_is_certain_across_versions() {
    let across = |one, two| compare(Reading::Expression, [12, 18], one, two);
    assert_eq!(
        across("CHECK ((a > 0))", "CHECK ((a > 1))"),
        Likeness::Different
    );
    assert_eq!(
        across("'a'::character varying(3)", "'b'::text"),
        Likeness::Different
    );
    assert_eq!(
        across(
            "date_part('year'::text, d) > 1",
            "date_part('year'::text, d) > 2"
        ),
        Likeness::Different
    );
}

#[test]
fn a_function_in_the_standards_syntax_may_be_the_same() {
    let across = |one, two| compare(Reading::Expression, [13, 14], one, two);
    for (one, two) in [
        (
            "(timezone('utc'::text, now()))",
            "((now() AT TIME ZONE 'utc'::text))",
        ),
        ("\"substring\"(v, 1)", "SUBSTRING(v FROM 1)"),
    ] {
        assert_eq!(across(one, two), Likeness::PerhapsSpelling);
    }
    let certain = across("TRIM(BOTH FROM v)", "TRIM(BOTH FROM w)");
    assert_eq!(certain, Likeness::Different);
}

#[test]
fn a_query_of_one_relation_loses_its_qualifiers_with_16() {
    let old = " SELECT t.id,\n    s.f(t.n) AS f\n   FROM s.t\n  WHERE ((EXTRACT(day FROM t.d) = 1) \
               AND (t.n > 0));";
    let new = " SELECT id,\n    s.f(n) AS f\n   FROM s.t\n  WHERE ((EXTRACT(day FROM d) = 1) \
               AND (n > 0));";
    assert_eq!(compare(Reading::Query, [12, 18], old, new), Likeness::Same);
    assert_eq!(
        compare(Reading::Query, [16, 18], old, new),
        Likeness::PerhapsSpelling
    );
    assert_eq!(
        compare(Reading::Query, [18, 18], old, new),
        Likeness::Different
    );
    for (was, is) in [
        ("FROM s.t", "FROM t"),
        ("s.f(n)", "f(n)"),
        ("n > 0", "m > 0"),
    ] {
        let other = new.replace(was, is);
        let likeness = compare(Reading::Query, [12, 18], old, &other);
        assert_eq!(likeness, Likeness::PerhapsSpelling, "{was} is {is}");
    }
}

#[test]
fn names_may_be_keywords_in_one_version_only() {
    let across = compare(
        Reading::Exact,
        [12, 18],
        "public.\"json_table\"",
        "public.json_table",
    );
    assert_eq!(across, Likeness::Same);
    let other = compare(Reading::Exact, [12, 18], "public.\"Json\"", "public.json");
    assert_eq!(other, Likeness::Different);
}

#[test]
fn what_a_version_does_not_know_is_not_compared_with_it() {
    let since = |majors| compare(Reading::Since(17), majors, "yes", "with grant option");
    assert_eq!(since([16, 17]), Likeness::Same);
    assert_eq!(since([17, 18]), Likeness::Different);
    assert_eq!(
        compare(Reading::Note, [15, 15], "1.0", "1.1"),
        Likeness::Noted
    );
}
