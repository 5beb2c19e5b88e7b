//! The rewriting of `pgbouncer.ini`: files as people write them, and any file at all.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::point;
use crate::address::Address;

fn new_place() -> Address {
    Address {
        host: "new".to_owned(),
        port: 6000,
        database: "fresh".to_owned(),
    }
}

fn pointed(text: &str) -> String {
    point(text, &["orders".to_owned()], &new_place()).expect(text)
}

#[test]
fn only_host_port_and_dbname_of_the_named_line_change() {
    let cases = [
        (
            "orders = host=old port=1 dbname=orders",
            "orders = host=new port=6000 dbname=fresh",
        ),
        (
            "orders=host=old port=1 dbname=orders pool_size=5 auth_user=a  \r\n",
            "orders=host=new port=6000 dbname=fresh pool_size=5 auth_user=a  \r\n",
        ),
        (
            "\torders\t=\tdbname = 'or''d' host='old' password='a host=x '' b' port= 1 #x = y",
            "\torders\t=\tdbname = 'fresh' host='new' password='a host=x '' b' port= 6000 #x = y",
        ),
        ("orders =", "orders =host=new port=6000 dbname=fresh"),
        (
            "orders = port=6000 pool_mode=session \nother = host=old",
            "orders = port=6000 pool_mode=session host=new dbname=fresh \nother = host=old",
        ),
        (
            "; orders = host=old\n#orders=host=old\norders = host=old port=6000 dbname=fresh",
            "; orders = host=old\n#orders=host=old\norders = host=new port=6000 dbname=fresh",
        ),
        (
            "[databases] orders = host=old port=6000 dbname=fresh\n[users]\norders = host=old",
            "[databases] orders = host=new port=6000 dbname=fresh\n[users]\norders = host=old",
        ),
        (
            "[pgbouncer]\norders = 5\n%include /x y\n[databases]\n\"orders\"=host=a host=b port=6000 dbname=fresh\norders2=host=old",
            "[pgbouncer]\norders = 5\n%include /x y\n[databases]\n\"orders\"=host=new host=new port=6000 dbname=fresh\norders2=host=old",
        ),
    ];
    for (before, after) in cases {
        assert_eq!(pointed(before), after);
        assert_eq!(pointed(after), after, "a second time changes nothing");
    }
}

#[test]
fn several_lines_of_one_real_database_are_pointed_together() {
    let text = "a = host=old dbname=x\nb = host=old dbname=x user=u\nc = host=old dbname=x\n";
    let names = ["a".to_owned(), "b".to_owned()];
    let after = point(text, &names, &new_place()).expect("both are there");
    assert_eq!(
        after,
        "a = host=new dbname=fresh port=6000\n\
         b = host=new dbname=fresh user=u port=6000\nc = host=old dbname=x\n"
    );
}

#[test]
fn values_with_spaces_and_quotes_are_quoted() {
    let odd = Address {
        host: "/run/my pg".to_owned(),
        port: 5432,
        database: "o'r ders".to_owned(),
    };
    let after = point("orders = host=old", &["orders".to_owned()], &odd).expect("it is there");
    assert_eq!(after, "orders = host='/run/my pg' dbname='o''r ders'");
}

#[test]
fn what_cannot_be_read_is_an_error_that_repeats_no_password() {
    for text in [
        "orders = host=old password=secret more",
        "orders = password='secret",
        "orders = password='secret'x",
        "[databases\norders = password=secret",
        "\"orders = password=secret",
    ] {
        let error = point(text, &["orders".to_owned()], &new_place()).expect_err(text);
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.to_string().starts_with("line "), "{error}");
    }
    let text = "%include /a.ini\n[databases]\n* = host=old";
    let error = point(text, &["orders".to_owned()], &new_place()).expect_err("no line");
    let error = error.to_string();
    assert!(
        error.contains("`*`") && error.contains("included"),
        "{error}"
    );
}

/// A piece of a connection string that is not ours to change.
fn other_pair() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("user"),
        Just("password"),
        Just("pool_size"),
        Just("hosts"),
        Just("xdbname"),
        Just("connect_query")
    ];
    let quoted = "[ -~]{0,12}".prop_map(|text| format!("'{}'", text.replace('\'', "''")));
    let value = prop_oneof!["[!-&(-~][!-~]{0,8}", quoted];
    (key, "[ \t]{0,2}", value)
        .prop_map(|(key, space, value)| format!("{key}{space}={space}{value}"))
}

fn line() -> impl Strategy<Value = String> {
    let comment = "[;#][ -~]{0,20}";
    let include = "%include [ -~]{0,10}";
    let other =
        ("[a-z]{1,5}_", "[ -~]{0,20}").prop_map(|(name, value)| format!("{name} = {value}"));
    let blank = "[ \t\r]{0,3}";
    prop_oneof![comment, include, other, blank]
}

proptest! {
    #[test]
    fn every_other_byte_of_any_file_stays(
        above in proptest::collection::vec(line(), 0..6),
        below in proptest::collection::vec(line(), 0..6),
        first in proptest::collection::vec(other_pair(), 0..3),
        last in proptest::collection::vec(other_pair(), 0..3),
        host in "[a-z0-9.]{1,9}",
        quoted in any::<bool>(),
        ending in "[ \t\r]{0,2}",
    ) {
        let quote = if quoted { "'" } else { "" };
        let file = |host: &str, port: u16, dbname: &str| {
            let mut pairs = first.clone();
            pairs.push(format!("host={quote}{host}{quote}"));
            pairs.push(format!("port={port}"));
            pairs.push(format!("dbname={dbname}"));
            pairs.extend(last.clone());
            let (above, below) = (above.join("\n"), below.join("\n"));
            let line = pairs.join("  ");
            format!("{above}\n[databases]\norders = {line}{ending}\n{below}")
        };
        prop_assert_eq!(pointed(&file(&host, 1, "old")), file("new", 6000, "fresh"));
    }
}
