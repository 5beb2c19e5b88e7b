//! What `pg_restore --verbose` says of an entry before its SQL.

use smol_str::SmolStr;

/// An announcement's lines, read.
#[derive(Default)]
pub(crate) struct Announcement {
    pub(crate) id: u32,
    pub(crate) class: u32,
    pub(crate) oid: u32,
    pub(crate) needs: Box<[u32]>,
    pub(crate) name: SmolStr,
    pub(crate) kind: SmolStr,
    pub(crate) schema: SmolStr,
}

impl Announcement {
    pub(crate) fn read(&mut self, line: &str) {
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
            self.name = name.into();
            self.kind = kind.into();
            if schema != "-" {
                self.schema = schema.into();
            }
        }
    }
}

/// Reads `-- TOC entry 215 (class 1259 OID 16385)`.
pub(crate) fn toc_line(line: &str) -> Option<(u32, u32, u32)> {
    let rest = line
        .trim_end()
        .strip_prefix("-- TOC entry ")?
        .strip_suffix(')')?;
    let (id, rest) = rest.split_once(" (class ")?;
    let (class, oid) = rest.split_once(" OID ")?;
    Some((id.parse().ok()?, class.parse().ok()?, oid.parse().ok()?))
}
