//! What everybody may do in the schema `public`, which every database has. A dump tells of its
//! grants only where they differ from what a new database has in `pg_dump`'s own version. From
//! 15 on nobody but the owner may create there by default, so a newer `pg_dump` has nothing to
//! say of a source where that is so; before 15 everybody may (release notes of 15, E.1.2).

use trunkline_changes::Side;
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::LoadError;
use crate::finish::Task;
use crate::loader::Loader;
use crate::options::StructureSource;
use crate::retrying::retried;
use crate::structure::{CLOSED, Key, Record};

const MAY_CREATE: &str = "SELECT pg_catalog.has_schema_privilege('public', oid, 'CREATE') \
    FROM pg_catalog.pg_namespace WHERE nspname = 'public'";

/// A role that does not own the schema is warned and nothing changes: that is an error here.
const CLOSE: &str = "\
    REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
    DO $$ BEGIN \
      IF pg_catalog.has_schema_privilege('public', 'public', 'CREATE') THEN \
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', \
          MESSAGE = 'only its owner can revoke it: everybody may create objects there'; \
      END IF; \
    END $$;";

impl Loader {
    /// Where everybody may create objects in `public` on a target before 15 and not on the
    /// source, that right is revoked; a role that cannot is told of. Gives the key that records
    /// it.
    pub(crate) async fn close_public(&self, record: &Record) -> Result<Option<Key>, LoadError> {
        let options = &self.options;
        let ours = options.structure == StructureSource::Source && !options.no_privileges;
        if !ours || !options.scope.covers_schema("public") {
            return Ok(None);
        }
        let key = (CLOSED.into(), "".into(), "public".into(), 0);
        if record.holds(&key) {
            return Ok(Some(key));
        }
        let differs = retried(&self.cancel, || async {
            let mut target = self.connect(Side::Target, "structure").await?;
            if target.version().major() >= 15
                || may_create(&mut target, Side::Target).await? != Some(true)
            {
                return Ok(false);
            }
            let mut source = self.connect(Side::Source, "structure").await?;
            Ok(may_create(&mut source, Side::Source).await? == Some(false))
        });
        if !differs.await? {
            return Ok(None);
        }
        let task = Task {
            key: key.clone(),
            label: "the revoking of CREATE in the schema public from PUBLIC".to_owned(),
            sql: CLOSE.to_owned(),
            dispensable: true,
        };
        task.run(&mut self.runner("structure")).await?;
        Ok(Some(key))
    }
}

/// Whether everybody may; none where there is no such schema.
async fn may_create(session: &mut Session, side: Side) -> Result<Option<bool>, LoadError> {
    let doing = "asking what everybody may do in the schema public";
    let row = session.query_opt(MAY_CREATE, &[]).await.on(side, doing)?;
    let may: Option<Result<bool, PgError>> = row.map(|row| row.get(0));
    Ok(may.transpose().on(side, doing)?)
}
