//! A primary key or unique constraint in two steps: its index, which is built beside the
//! table's others, then the constraint, which takes the index over at once (manual, ALTER
//! TABLE, `ADD table_constraint_using_index`). Pure text.

use super::identifier::{Added, added_constraint, identifier};

/// The two statements of a constraint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Constraint {
    /// Builds the index, under the constraint's name.
    pub(crate) index: String,
    /// Makes it the constraint's.
    pub(crate) take_over: String,
}

/// Splits `pg_dump`'s statement; `None` where anything in it is not known to be said of an
/// index in the same way (what is deferrable, `NULLS NOT DISTINCT`, `WITHOUT OVERLAPS`, …).
pub(crate) fn split(sql: &str) -> Option<Constraint> {
    let (settings, statement) = after_settings(sql);
    let body = statement.trim_end().strip_suffix(';')?;
    let Added {
        schema,
        table,
        name,
        definition: rest,
    } = added_constraint(body)?;
    let (kind, definition) = [" PRIMARY KEY ", " UNIQUE "]
        .iter()
        .find_map(|kind| Some((kind.trim(), rest.strip_prefix(kind)?)))?;
    let rest = after_list(definition)?;
    let rest = match rest.strip_prefix(" INCLUDE ") {
        Some(included) => after_list(included)?,
        None => rest,
    };
    rest.is_empty().then(|| Constraint {
        index: format!("{settings}CREATE UNIQUE INDEX {name} ON {schema}.{table} {definition};\n"),
        take_over: format!(
            "ALTER TABLE ONLY {schema}.{table} ADD CONSTRAINT {name} {kind} USING INDEX {name};\n"
        ),
    })
}

/// The settings that stand before the statement (the tablespace), and the statement.
fn after_settings(sql: &str) -> (&str, &str) {
    let lines = sql.split_inclusive('\n');
    let settings = lines.take_while(|line| line.starts_with("SET default_") || *line == "\n");
    sql.split_at(settings.map(str::len).sum())
}

/// What follows a list of columns in parentheses.
fn after_list(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('(')?;
    loop {
        rest = identifier(rest)?.1;
        match rest.strip_prefix(", ") {
            Some(more) => rest = more,
            None => return rest.strip_prefix(')'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_key_is_an_index_first() {
        let key = split("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n");
        let key = key.expect("it is plain");
        assert_eq!(key.index, "CREATE UNIQUE INDEX t_pkey ON public.t (id);\n");
        assert_eq!(
            key.take_over,
            "ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey;\n"
        );
        let odd = split(
            "ALTER TABLE ONLY \"My \"\"S\".\"a ) b\"\n    ADD CONSTRAINT \"u UNIQUE (\" UNIQUE (\"x, y\", z) INCLUDE (\"(\", w);\n",
        );
        assert_eq!(
            odd.expect("it is plain").index,
            "CREATE UNIQUE INDEX \"u UNIQUE (\" ON \"My \"\"S\".\"a ) b\" (\"x, y\", z) INCLUDE (\"(\", w);\n"
        );
    }

    #[test]
    fn what_an_index_does_not_say_in_the_same_way_is_left_whole() {
        for definition in [
            "PRIMARY KEY (id) DEFERRABLE",
            "UNIQUE NULLS NOT DISTINCT (id)",
            "UNIQUE (id, during WITHOUT OVERLAPS)",
            "PRIMARY KEY (id) WITH (fillfactor='70')",
            "EXCLUDE USING gist (during WITH &&)",
            "CHECK ((id > 0))",
            "PRIMARY KEY (id);\n\nALTER TABLE public.t CLUSTER ON t_pkey",
        ] {
            let sql = format!("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_c {definition};\n");
            assert_eq!(split(&sql), None, "{definition}");
        }
    }

    #[test]
    fn the_index_is_built_in_the_tablespace_of_the_constraint() {
        let sql = "SET default_tablespace = fast;\n\nALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_c UNIQUE (id);\n";
        assert_eq!(
            split(sql).expect("it is plain").index,
            "SET default_tablespace = fast;\n\nCREATE UNIQUE INDEX t_c ON public.t (id);\n"
        );
    }
}
