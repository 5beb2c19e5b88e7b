//! `pg_restore`'s text cut into entries. With `--verbose` each entry is announced by its
//! number, catalog and OID, and what it needs; the list says which numbers there are, in
//! which order and section. A line counts as an announcement only if it is the next of the
//! list, so a function's body that looks like one stays a body.

use std::collections::{HashMap, HashSet};

use super::entry::{Entry, Section};
use super::options::without_server_marks;
use crate::error::LoadError;

/// An entry's line in `pg_restore --list`: `215; 1259 16385 TABLE public orders owner`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed<'a> {
    id: u32,
    line: &'a str,
    section: Section,
}

/// Cuts the text into entries, in its order. `pre_data` and `post_data` are the two lists.
pub(crate) fn split(text: &str, pre_data: &str, post_data: &str) -> Result<Vec<Entry>, LoadError> {
    let mut expected = listed(pre_data, Section::PreData)?;
    expected.extend(listed(post_data, Section::PostData)?);
    let by_id: HashMap<u32, Listed<'_>> = expected.iter().map(|l| (l.id, l.clone())).collect();
    let mut cutter = Cutter::new(&by_id);
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let announced = line == "--\n" && lines.peek().is_some_and(|next| cutter.announces(next));
        if announced {
            cutter.open(&mut lines)?;
        } else {
            cutter.add(line);
        }
    }
    let entries = cutter.finish()?;
    let cut: HashSet<u32> = entries.iter().map(|entry| entry.id).collect();
    if let Some(missing) = expected.iter().find(|listed| !cut.contains(&listed.id)) {
        return Err(LoadError::Toc(format!(
            "no text for the entry `{}`",
            missing.line
        )));
    }
    Ok(entries)
}

fn listed(list: &str, section: Section) -> Result<Vec<Listed<'_>>, LoadError> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(|line| {
            let id = line.split_once(';').and_then(|(id, _)| id.parse().ok());
            let id = id.ok_or_else(|| LoadError::Toc(format!("the list's line `{line}`")))?;
            Ok(Listed { id, line, section })
        })
        .collect()
}

/// An announcement's lines, read.
#[derive(Default)]
struct Announcement {
    id: u32,
    class: u32,
    oid: u32,
    needs: Vec<u32>,
    name: String,
    kind: String,
    schema: String,
}

struct Cutter<'a> {
    by_id: &'a HashMap<u32, Listed<'a>>,
    seen: HashSet<u32>,
    entries: Vec<Entry>,
    current: Option<(Announcement, String)>,
    ordinals: HashMap<(String, String, String), i32>,
    /// `SET default_…` lines in force, by setting.
    defaults: Vec<(String, String)>,
}

/// Settings that `pg_restore` changes between entries, and that decide what the next make.
const DEFAULTS: [&str; 2] = ["default_tablespace", "default_table_access_method"];

impl<'a> Cutter<'a> {
    fn new(by_id: &'a HashMap<u32, Listed<'a>>) -> Self {
        Cutter {
            by_id,
            seen: HashSet::new(),
            entries: Vec::new(),
            current: None,
            ordinals: HashMap::new(),
            defaults: Vec::new(),
        }
    }

    /// Whether a line is the announcement of an entry that was not seen yet.
    fn announces(&self, line: &str) -> bool {
        toc_line(line).is_some_and(|(id, class, oid)| {
            !self.seen.contains(&id)
                && self
                    .by_id
                    .get(&id)
                    .is_some_and(|listed| listed.line.starts_with(&format!("{id}; {class} {oid} ")))
        })
    }

    fn open<'t>(
        &mut self,
        lines: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
    ) -> Result<(), LoadError> {
        self.close()?;
        let mut announcement = Announcement::default();
        for line in lines.by_ref() {
            if line == "--\n" {
                break;
            }
            announcement.read(line);
        }
        let listed = self.by_id.get(&announcement.id);
        let schema = if announcement.schema.is_empty() {
            "-"
        } else {
            &announcement.schema
        };
        let start = format!(
            "{}; {} {} {} {schema} {} ",
            announcement.id,
            announcement.class,
            announcement.oid,
            announcement.kind,
            announcement.name
        );
        if !listed.is_some_and(|listed| listed.line.starts_with(&start)) {
            return Err(LoadError::Toc(format!(
                "`{start}` is not what the list says"
            )));
        }
        self.seen.insert(announcement.id);
        self.current = Some((announcement, String::new()));
        Ok(())
    }

    fn add(&mut self, line: &str) {
        match &mut self.current {
            Some((_, sql)) => sql.push_str(line),
            // Before the first entry stand the session's settings; ours are pinned.
            None => {
                self.note_default(line);
            }
        }
    }

    fn note_default(&mut self, line: &str) -> bool {
        let line = line.trim_end();
        let Some(setting) = DEFAULTS.into_iter().find(|name| {
            line.strip_prefix("SET ")
                .is_some_and(|rest| rest.starts_with(&format!("{name} =")))
        }) else {
            return false;
        };
        self.defaults.retain(|(name, _)| name != setting);
        self.defaults.push((setting.to_owned(), line.to_owned()));
        true
    }

    /// Ends the current entry. The settings for the next one stand at its end.
    fn close(&mut self) -> Result<(), LoadError> {
        let Some((announcement, text)) = self.current.take() else {
            return Ok(());
        };
        let mut lines: Vec<&str> = text.lines().collect();
        let mut settings = Vec::new();
        while let Some(last) = lines.last() {
            let between = last.trim().is_empty()
                || last.starts_with("\\restrict")
                || last.starts_with("\\unrestrict")
                || last.starts_with("--")
                || DEFAULTS
                    .iter()
                    .any(|name| last.starts_with(&format!("SET {name} =")));
            if !between {
                break;
            }
            settings.push(lines.pop().unwrap_or_default().to_owned());
        }
        let body = without_server_marks(&(lines.join("\n").trim_start().to_owned() + "\n"));
        let entry = self.entry(announcement, &body)?;
        self.entries.push(entry);
        for line in settings.iter().rev() {
            self.note_default(line);
        }
        Ok(())
    }

    fn entry(&mut self, announcement: Announcement, body: &str) -> Result<Entry, LoadError> {
        let section = self
            .by_id
            .get(&announcement.id)
            .map(|listed| listed.section);
        let section =
            section.ok_or_else(|| LoadError::Toc("an entry not in the list".to_owned()))?;
        let key = (
            announcement.kind.clone(),
            announcement.schema.clone(),
            announcement.name.clone(),
        );
        let ordinal = self.ordinals.entry(key).or_insert(-1);
        *ordinal += 1;
        let places_storage = ["TABLE", "INDEX", "CONSTRAINT", "MATERIALIZED VIEW"]
            .contains(&announcement.kind.as_str());
        let mut sql = String::new();
        if places_storage {
            for (_, line) in &self.defaults {
                sql.push_str(line);
                sql.push('\n');
            }
        }
        if announcement.kind == "SEQUENCE" {
            // No dump says where one lies, and it would go where the session's last table did.
            sql.push_str("SET default_tablespace = '';\n");
        }
        sql.push_str(body);
        Ok(Entry {
            id: announcement.id,
            class: announcement.class,
            oid: announcement.oid,
            kind: announcement.kind,
            schema: announcement.schema,
            name: announcement.name,
            needs: announcement.needs,
            section,
            ordinal: *ordinal,
            sql,
        })
    }

    fn finish(mut self) -> Result<Vec<Entry>, LoadError> {
        self.close()?;
        self.entries.shrink_to_fit();
        Ok(self.entries)
    }
}

impl Announcement {
    fn read(&mut self, line: &str) {
        if let Some((id, class, oid)) = toc_line(line) {
            (self.id, self.class, self.oid) = (id, class, oid);
        } else if let Some(ids) = line.strip_prefix("-- Dependencies: ") {
            self.needs = ids
                .split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect();
        } else if let Some(rest) = line.strip_prefix("-- Name: ") {
            // A name may hold `; Type: `; the words after it may not, so read from the end.
            let Some((rest, _owner)) = rest.rsplit_once("; Owner: ") else {
                return;
            };
            let Some((rest, schema)) = rest.rsplit_once("; Schema: ") else {
                return;
            };
            let Some((name, kind)) = rest.rsplit_once("; Type: ") else {
                return;
            };
            name.clone_into(&mut self.name);
            kind.clone_into(&mut self.kind);
            if schema != "-" {
                schema.clone_into(&mut self.schema);
            }
        }
    }
}

/// Reads `-- TOC entry 215 (class 1259 OID 16385)`.
fn toc_line(line: &str) -> Option<(u32, u32, u32)> {
    let rest = line
        .trim_end()
        .strip_prefix("-- TOC entry ")?
        .strip_suffix(')')?;
    let (id, rest) = rest.split_once(" (class ")?;
    let (class, oid) = rest.split_once(" OID ")?;
    Some((id.parse().ok()?, class.parse().ok()?, oid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRE: &str = ";\n; Archive created\n;\n8; 2615 100 SCHEMA - a b owner\n\
        10; 1259 101 TABLE public odd; Type: TABLE owner\n11; 1255 102 FUNCTION public f() owner\n";
    const POST: &str = "12; 1259 103 INDEX public i owner\n";
    const TEXT: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET transaction_timeout = 0;\n\n\
        --\n-- TOC entry 8 (class 2615 OID 100)\n-- Name: a b; Type: SCHEMA; Schema: -; Owner: owner\n-- Data Pos: 0\n--\n\n\
        CREATE SCHEMA \"a b\";\n\n\nSET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n\
        --\n-- TOC entry 10 (class 1259 OID 101)\n-- Dependencies: 8\n-- Name: odd; Type: TABLE; Type: TABLE; Schema: public; Owner: owner\n-- Data Pos: 0\n--\n\n\
        CREATE TABLE public.\"odd; Type: TABLE\" ();\n\n\n\
        --\n-- TOC entry 11 (class 1255 OID 102)\n-- Name: f(); Type: FUNCTION; Schema: public; Owner: owner\n--\n\n\
        CREATE FUNCTION f() AS '\n--\n-- TOC entry 10 (class 1259 OID 101)\n-- Name: fake\n--\n';\n\n\n\
        SET default_tablespace = fast;\n\n\
        --\n-- TOC entry 12 (class 1259 OID 103)\n-- Dependencies: 10 8\n-- Name: i; Type: INDEX; Schema: public; Owner: owner\n--\n\n\
        CREATE INDEX i ON x;\n\n\n-- Completed on today\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";

    #[test]
    fn the_text_is_cut_where_the_list_says() {
        let entries = split(TEXT, PRE, POST).expect("entries");
        let sql: Vec<&str> = entries.iter().map(|entry| entry.sql.as_str()).collect();
        assert_eq!(
            sql,
            [
                "CREATE SCHEMA \"a b\";\n",
                "SET default_tablespace = '';\nSET default_table_access_method = heap;\nCREATE TABLE public.\"odd; Type: TABLE\" ();\n",
                "CREATE FUNCTION f() AS '\n--\n-- TOC entry 10 (class 1259 OID 101)\n-- Name: fake\n--\n';\n",
                "SET default_table_access_method = heap;\nSET default_tablespace = fast;\nCREATE INDEX i ON x;\n",
            ]
        );
        assert_eq!(entries[1].name, "odd; Type: TABLE");
        assert_eq!(entries[1].needs, [8]);
        assert_eq!(entries[3].section, Section::PostData);
    }

    #[test]
    fn an_entry_without_text_is_an_error() {
        let longer = format!("{POST}13; 1259 104 INDEX public j owner\n");
        let error = split(TEXT, PRE, &longer).expect_err("13 is missing");
        assert!(error.to_string().contains("104"), "{error}");
    }
}
