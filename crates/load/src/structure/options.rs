//! What `pg_dump` may write that a target does not take: options of columns that only the
//! source's server knows, and what a newer server says of a range type.

/// Takes the options that begin with `pg_` out of `ALTER TABLE … ALTER COLUMN … SET (…)`
/// lines: they are a server's own marks (`pg_attver`), and every target refuses them.
pub(crate) fn without_server_marks(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    for line in sql.split_inclusive('\n') {
        match unmarked(line) {
            None => kept.push_str(line),
            Some(replacement) => kept.push_str(&replacement),
        }
    }
    kept
}

/// Takes the multirange's name out of a `CREATE TYPE … AS RANGE`: servers before 14 have no
/// multiranges. Nothing that is moved to one of them can use it.
pub(crate) fn without_multirange(sql: &str) -> String {
    let names_it = |line: &&str| line.trim_start().starts_with("multirange_type_name = ");
    let mut kept: Vec<String> = Vec::new();
    for line in sql.lines() {
        if !names_it(&line) {
            kept.push(line.to_owned());
        } else if !line.trim_end().ends_with(',')
            && let Some(last) = kept.last_mut()
            && let Some(without_comma) = last.strip_suffix(',')
        {
            *last = without_comma.to_owned();
        }
    }
    kept.join("\n") + "\n"
}

/// What replaces a line that sets marks; `None` for every other line.
fn unmarked(line: &str) -> Option<String> {
    let statement = line.trim_end();
    let is_column_option = statement.starts_with("ALTER ") && statement.contains(" ALTER COLUMN ");
    if !is_column_option {
        return None;
    }
    let inner = statement.strip_suffix(");")?;
    let (head, options) = inner.rsplit_once(" SET (")?;
    let kept: Vec<&str> = options
        .split(", ")
        .filter(|option| !option.starts_with("pg_"))
        .collect();
    if kept.len() == options.split(", ").count() {
        return None;
    }
    if kept.is_empty() {
        return Some(String::new());
    }
    Some(format!("{head} SET ({});\n", kept.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_type_loses_only_its_multirange() {
        let last = "CREATE TYPE s.r AS RANGE (\n    subtype = double precision,\n    \
                    multirange_type_name = s.m\n);\n";
        assert_eq!(
            super::without_multirange(last),
            "CREATE TYPE s.r AS RANGE (\n    subtype = double precision\n);\n"
        );
        let between = "CREATE TYPE s.r AS RANGE (\n    subtype = text,\n    \
                       multirange_type_name = s.m,\n    collation = pg_catalog.\"C\"\n);\n";
        assert_eq!(
            super::without_multirange(between),
            "CREATE TYPE s.r AS RANGE (\n    subtype = text,\n    collation = pg_catalog.\"C\"\n);\n"
        );
    }

    #[test]
    fn a_servers_marks_are_left_out_and_real_options_stay() {
        let sql = "CREATE TABLE public.t (\n    a integer\n);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (pg_attver=3);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5, pg_attver=3);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n";
        let expected = "CREATE TABLE public.t (\n    a integer\n);\n\
                        ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n\
                        ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n";
        assert_eq!(without_server_marks(sql), expected);
    }
}
