//! What was printed is read, whatever it holds; what was not printed by a server is an error.

use super::line::{self, CellValue, Line, Operation};
use super::print::{self, Datum, identifier};
use super::translator::{Answer, Next, Question, Translator};
use crate::assembler::Assembler;
use crate::error::StreamError;
use bytes::Bytes;
use proptest::prelude::*;
use trunkline_changes::{Change, Lsn, OldRow, ReplicaIdentity, Row, StreamEvent, TableName, Value};

/// Whatever could be taken for a part of a line.
fn nasty() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "'",
        "''",
        "\"",
        " ",
        "[",
        "]",
        ":",
        ".",
        ",",
        "\\",
        "\n",
        "null",
        "true",
        "B'1'",
        " new-tuple:",
        " old-key:",
        "(no-tuple-data)",
        "unchanged-toast-datum",
        "é",
        "日",
        "a",
        ": TRUNCATE:",
        "table ",
        "BEGIN 1",
        "x[integer]:1",
    ]);
    prop::collection::vec(parts, 0..6).prop_map(|parts| parts.concat())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("id".to_owned()),
        nasty().prop_filter("not empty", |name| !name.is_empty())
    ]
}

fn column_type() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "integer",
        "text",
        "character varying[]",
        "timestamp without time zone",
        "\"char\"",
        "public.mood",
        "bit varying",
    ]);
    prop_oneof![
        fixed.prop_map(str::to_owned),
        name().prop_map(|name| format!("public.{}[]", identifier(&name))),
    ]
}

fn datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        Just(Datum::Null),
        prop::sample::select(vec!["0", "-1", "NaN", "-Infinity", "1e+20", "0.10"])
            .prop_map(|number| Datum::Number(number.to_owned())),
        any::<bool>().prop_map(Datum::Bool),
        "[01]{0,9}".prop_map(Datum::Bits),
        nasty().prop_map(Datum::Text),
        any::<String>().prop_map(|text| Datum::Text(text.replace('\0', ""))),
    ]
}

prop_compose! {
    /// A table of some columns, and two rows of it.
    fn table_and_rows()(
        name in (name(), name()),
        columns in prop::collection::btree_map(name(), (column_type(), datum(), datum()), 1..7),
    ) -> (TableName, Vec<(String, String)>, [Vec<Datum>; 2]) {
        let (mut types, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (column_type, before, after)) in columns {
            types.push((name, column_type));
            old.push(before);
            new.push(after);
        }
        (TableName::new(name.0, name.1), types, [old, new])
    }
}

/// The events that these lines come to, as one transaction.
fn events(translator: &mut Translator, lines: &[String]) -> Result<Vec<StreamEvent>, StreamError> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut assembler = Assembler::new(Lsn::ZERO, folder.path().to_owned(), 1 << 20);
    let mut events = Vec::new();
    let commit = "COMMIT 5 (at 2026-01-01 00:00:00+00)".to_owned();
    let all = ["BEGIN 5".to_owned()]
        .into_iter()
        .chain(lines.iter().cloned())
        .chain([commit]);
    for line in all {
        translator.feed(Lsn::new(100), Bytes::from(line))?;
        loop {
            match translator.next()? {
                Next::Message(message) => assembler.feed(message)?,
                Next::Line => break,
                Next::Asks(question) => {
                    let answer = match question {
                        Question::Table(_) => Answer::Table(None),
                        Question::Columns(_) => Answer::Columns(None),
                    };
                    translator.learn(question, answer);
                }
            }
            while let Some(event) = assembler.next_event()? {
                events.push(event);
            }
        }
    }
    Ok(events)
}

fn values(row: &Row) -> Vec<Option<String>> {
    row.values()
        .map(|value| match value {
            Value::Text(text) => Some(String::from_utf8(text.to_vec()).expect("UTF-8")),
            Value::Null | Value::Unchanged => None,
        })
        .collect()
}

fn texts(row: &[Datum]) -> Vec<Option<String>> {
    row.iter().map(Datum::text).collect()
}

proptest! {
    #[test]
    fn a_row_is_read_as_it_was_printed((name, columns, [row, _]) in table_and_rows()) {
        let line = format!("table {}: INSERT:{}", print::table_name(&name), print::row(&columns, &row, false));
        let Ok(Line::Change { table, operation: Operation::Insert(mut cells) }) = line::parse(line.as_bytes()) else {
            return Err(TestCaseError::fail(line));
        };
        let printed = print::table_name(&name);
        prop_assert_eq!(table, printed.as_bytes());
        for ((column, column_type), value) in columns.iter().zip(&row) {
            let cell = cells.next_cell().expect("readable").expect("there");
            prop_assert_eq!(line::unquoted(&cell.head[..cell.name_bytes]), column.as_bytes());
            let printed = format!("[{column_type}]");
            prop_assert_eq!(&cell.head[cell.name_bytes..], printed.as_bytes());
            let read = match cell.value {
                CellValue::Null => Datum::Null,
                CellValue::Unchanged => Datum::Unchanged,
                CellValue::Bare(b"true") => Datum::Bool(true),
                CellValue::Bare(b"false") => Datum::Bool(false),
                CellValue::Bare(text) => Datum::Number(String::from_utf8(text.to_vec()).expect("UTF-8")),
                CellValue::Quoted(inner) => Datum::Text(String::from_utf8(line::undoubled(inner, b'\'')).expect("UTF-8")),
            };
            prop_assert_eq!(read.text(), value.text());
        }
        prop_assert!(cells.is_empty());
    }

    #[test]
    fn changes_arrive_with_the_values_that_were_printed(
        (name, columns, [mut old, new]) in table_and_rows(),
        full in any::<bool>(),
    ) {
        // A key has no NULL.
        if old[0] == Datum::Null {
            old[0] = Datum::Text(String::new());
        }
        let identity = if full { ReplicaIdentity::Full } else { ReplicaIdentity::Default };
        let known = print::table(&name, &columns, 1, identity);
        let mut translator = Translator::new(Lsn::ZERO, vec![known]);
        let table = print::table_name(&name);
        let sent_old = if full { &old[..] } else { &old[..1] };
        let (old_row, new_row) = (print::row(&columns, sent_old, true), print::row(&columns, &new, false));
        let read = events(&mut translator, &[
            format!("table {table}: INSERT:{new_row}"),
            format!("table {table}: UPDATE: old-key:{old_row} new-tuple:{new_row}"),
            format!("table {table}: DELETE:{old_row}"),
            format!("table {table}: TRUNCATE: restart_seqs cascade"),
            "table public.passed_over: INSERT: a[integer]:1".to_owned(),
        ]).expect("readable");
        let mut expected_old = texts(sent_old);
        expected_old.resize(columns.len(), None);
        prop_assert_eq!(read.len(), 6, "{:?}", read);
        for event in &read {
            let StreamEvent::Change(change) = event else { continue };
            let before = match change {
                Change::Insert { new: after, relation } => {
                    prop_assert_eq!(values(after), texts(&new));
                    prop_assert_eq!(&relation.name, &name);
                    continue;
                }
                Change::Update { old: Some(before), new: after, .. } => {
                    prop_assert_eq!(values(after), texts(&new));
                    before
                }
                Change::Delete { old: before, .. } => before,
                Change::Truncate { relations, cascade: true, restart_identity: true } => {
                    prop_assert_eq!(relations.len(), 1);
                    continue;
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!(values(before.row()), expected_old.clone());
            prop_assert_eq!(matches!(before, OldRow::Full(_)), full);
        }
    }

    #[test]
    fn what_no_server_prints_is_an_error_and_never_a_panic(
        (name, columns, [old, new]) in table_and_rows(),
        cut in any::<prop::sample::Index>(),
        noise in any::<Vec<u8>>(),
    ) {
        let (table, old, new) = (print::table_name(&name), print::row(&columns, &old, true), print::row(&columns, &new, false));
        let line = format!("table {table}: UPDATE: old-key:{old} new-tuple:{new}");
        let known = print::table(&name, &columns, 1, ReplicaIdentity::Default);
        let mut translator = Translator::new(Lsn::ZERO, vec![known]);
        let mut bytes = line.into_bytes();
        let at = cut.index(bytes.len());
        let end = (at + noise.len()).min(bytes.len());
        bytes.splice(at..end, noise.clone());
        for bytes in [bytes[..at].to_vec(), bytes, noise] {
            drop(line::parse(&bytes));
            // The rest may be anything: only a panic, or an end that never comes, would fail.
            drop(translator.feed(Lsn::new(1), Bytes::from_static(b"BEGIN 5")));
            drop(translator.feed(Lsn::new(1), bytes.into()));
            drop(translator.feed(Lsn::new(9), Bytes::from_static(b"COMMIT 5 (at 2026-01-01 00:00:00+00)")));
            for _ in 0..10 {
                match translator.next() {
                    Ok(Next::Message(_)) => {}
                    Ok(Next::Asks(Question::Table(raw))) => translator.learn(Question::Table(raw), Answer::Table(None)),
                    Ok(Next::Asks(question)) => translator.learn(question, Answer::Columns(None)),
                    Ok(Next::Line) | Err(_) => break,
                }
            }
            translator.restart(Lsn::ZERO);
        }
    }
}

fn notes() -> (TableName, Vec<(String, String)>) {
    let column = |name: &str, column_type: &str| (name.to_owned(), column_type.to_owned());
    (
        TableName::new("public", "notes"),
        vec![
            column("id", "integer"),
            column("body", "text"),
            column("size", "integer"),
        ],
    )
}

fn translator(identity: ReplicaIdentity) -> Translator {
    let (name, columns) = notes();
    Translator::new(Lsn::ZERO, vec![print::table(&name, &columns, 1, identity)])
}

fn line(text: &str) -> Vec<String> {
    vec![format!("table public.notes: {text}")]
}

#[test]
fn an_old_row_says_what_the_replica_identity_was() {
    let whole = line("DELETE: id[integer]:1 body[text]:'x'");
    let read = events(&mut translator(ReplicaIdentity::Default), &whole).expect("readable");
    assert!(matches!(
        &read[1],
        StreamEvent::Change(Change::Delete {
            old: OldRow::Full(_),
            ..
        })
    ));

    let other = line(
        "UPDATE: old-key: body[text]:'x' new-tuple: id[integer]:1 body[text]:'y' size[integer]:null",
    );
    let read = events(&mut translator(ReplicaIdentity::Default), &other).expect("readable");
    let StreamEvent::Change(Change::Update {
        relation,
        old: Some(OldRow::Key(_)),
        ..
    }) = &read[1]
    else {
        panic!("{read:?}");
    };
    assert_eq!(relation.key().collect::<Vec<_>>(), [1]);

    let keyed = line("UPDATE: id[integer]:1 body[text]:unchanged-toast-datum size[integer]:2");
    let read = events(&mut translator(ReplicaIdentity::Full), &keyed).expect("readable");
    let StreamEvent::Change(Change::Update {
        relation,
        old: None,
        new,
    }) = &read[1]
    else {
        panic!("{read:?}");
    };
    assert_eq!(relation.key().collect::<Vec<_>>(), [0]);
    assert!(new.has_unchanged());
}

#[test]
fn a_change_that_does_not_say_which_row_it_was_is_an_error() {
    let (name, columns) = notes();
    for text in [
        "DELETE: (no-tuple-data)",
        "UPDATE: id[integer]:1 body[text]:'x' size[integer]:1",
    ] {
        let known = print::table(&name, &columns, 0, ReplicaIdentity::Nothing);
        let mut translator = Translator::new(Lsn::ZERO, vec![known]);
        let error = events(&mut translator, &line(text)).expect_err("no key");
        assert!(matches!(error, StreamError::WithoutKey { .. }), "{error}");
    }
}

#[test]
fn a_transaction_of_many_lines_goes_on_as_a_streamed_one_and_arrives_whole() {
    let mut translator = translator(ReplicaIdentity::Default);
    let body = "x".repeat(1000);
    let lines: Vec<String> = (0..500)
        .map(|n| {
            format!(
                "table public.notes: INSERT: id[integer]:{n} body[text]:'{body}' size[integer]:null"
            )
        })
        .collect();
    for _ in 0..2 {
        let read = events(&mut translator, &lines).expect("readable");
        assert_eq!(read.len(), 502);
    }
    // The description in a transaction that the assembler dropped counts for nothing.
    translator.restart(Lsn::new(100));
    assert!(events(&mut translator, &lines).is_ok());
    translator.restart(Lsn::ZERO);
    assert_eq!(
        events(&mut translator, &lines[..1])
            .expect("readable")
            .len(),
        3
    );
}

#[test]
fn boundaries_in_another_order_are_an_error() {
    let cases: [&[&str]; 5] = [
        &["COMMIT 5 (at 2026-01-01 00:00:00+00)"],
        &["BEGIN 5", "BEGIN 6"],
        &["BEGIN 5", "COMMIT 6 (at 2026-01-01 00:00:00+00)"],
        &["BEGIN 5", "COMMIT 5"],
        &["table public.notes: TRUNCATE: (no-flags)"],
    ];
    for lines in cases {
        let mut translator = translator(ReplicaIdentity::Default);
        let fed = lines
            .iter()
            .try_for_each(|line| translator.feed(Lsn::new(1), Bytes::from(*line)));
        assert!(fed.is_err(), "{lines:?}");
    }
}

#[test]
fn a_message_keeps_its_prefix_and_its_bytes() {
    let line = b"message: transactional: 1 prefix: a, sz: 9 content:b, sz: 3 content:\xff\n'";
    let Ok(Line::Emitted {
        transactional: true,
        prefix,
        content,
    }) = line::parse(line)
    else {
        panic!("it is a message");
    };
    assert_eq!(
        (prefix, content),
        (&b"a, sz: 9 content:b"[..], &b"\xff\n'"[..])
    );
}
