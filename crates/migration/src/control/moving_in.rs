//! A journal that begins as a file, and moves to the target once that can be written. Holds
//! always: the file says that the journal goes on on the target only after everything in it
//! is committed there, so whoever opens the migration finds all of it in one of the two.

use std::path::Path;

use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, OnSide, Session};

use super::away::append_rows;
use super::file::{FileJournal, length};
use super::{Claim, Control, Identity, Place, State};
use super::{find, make_tables, refuse_another, rows, take_lock};
use crate::error::Error;
use crate::journal::FORMAT;
use crate::limits::HAND_OVER_WITHIN;

impl Control {
    /// Holds a migration whose journal is a file. `None` where there is no such file, or the
    /// journal goes on on the target; `begin` allows a migration that does not exist yet.
    pub(crate) async fn open_file(
        dir: &Path,
        target: &Conninfo,
        name: &str,
        claim: Claim,
        begin: bool,
    ) -> Result<Option<Control>, Error> {
        let Some(mut file) = FileJournal::hold(dir, name, claim, begin).await? else {
            return Ok(None);
        };
        let (identity, state, length) = match file.read()? {
            Some(found) if found.on_target => return Ok(None),
            Some(found) if found.identity.name != name => {
                return Err(Error::Refused {
                    why: format!(
                        "the folder belongs to the migration `{}`, and this one is `{name}`",
                        found.identity.name
                    ),
                    hint: "name another folder with --dir".to_owned(),
                });
            }
            Some(found) => (found.identity, found.state, length(&found.entries)),
            None if begin => {
                let identity = Identity {
                    name: name.to_owned(),
                    id: format!("{:08x}", fastrand::u32(..)),
                };
                file.begin(&identity)?;
                (identity, State::new(), 0)
            }
            None => return Ok(None),
        };
        Ok(Some(Control {
            place: Place::File(file),
            target: target.clone(),
            identity,
            state,
            length,
            holds: true,
            away: None,
        }))
    }

    /// The target can be written: makes the schema `trunkline` there, and the journal goes on
    /// in it. Where it does already, nothing is done.
    pub(crate) async fn move_in(&mut self) -> Result<(), Error> {
        let Place::File(file) = &mut self.place else {
            return Ok(());
        };
        let Some(found) = file.read()? else {
            return Err(Error::internal(&"the journal's file is empty"));
        };
        let (name, side) = (&self.identity.name, Side::Target);
        let doing = "opening the control schema";
        let mut session = Session::connect(&self.target, "control")
            .await
            .on(side, doing)?;
        let claim = Claim::HandedOver(HAND_OVER_WITHIN);
        take_lock(&mut session, side, name, claim).await?;
        make_tables(&mut session, side).await?;
        let known = match find(&mut session, side, name).await? {
            // A crash came between the commit there and the file's last line.
            Some(there) if there == self.identity => rows::replay(&mut session, name).await?.1,
            Some(there) => {
                return Err(Error::Journal {
                    why: format!(
                        "it is of another migration `{name}`, with the id {}",
                        there.id
                    ),
                });
            }
            None => {
                refuse_another(&mut session, name).await?;
                0
            }
        };
        let missing: Vec<(i64, String)> = found
            .entries
            .into_iter()
            .filter(|(seq, _)| *seq >= known)
            .collect();
        let doing = "carrying the journal to the target";
        write_all(&mut session, &self.identity, &missing)
            .await
            .on(side, doing)?;
        file.goes_on_on_target()?;
        self.place = Place::Target(Box::new(session));
        Ok(())
    }

    /// Gives the file's lock to whoever waits for it; see [`Control::hand_over`].
    pub(super) async fn hand_over_file(&mut self, source: &Conninfo) -> Result<(), Error> {
        let Place::File(file) = &mut self.place else {
            return Ok(());
        };
        if !file.lend().await? {
            return Err(Error::Ended);
        }
        let Some(found) = file.read()? else {
            return Err(Error::Ended);
        };
        if found.identity != self.identity {
            return Err(Error::Ended);
        }
        if found.on_target {
            let claim = Claim::HandedOver(HAND_OVER_WITHIN);
            let name = self.identity.name.clone();
            *self = Control::open(&self.target, &name, claim, false).await?;
            return self.follow_away(source).await;
        }
        (self.state, self.length) = (found.state, length(&found.entries));
        Ok(())
    }
}

/// The migration's row and its entries, all or none.
async fn write_all(
    session: &mut Session,
    identity: &Identity,
    entries: &[(i64, String)],
) -> Result<(), trunkline_postgres::PgError> {
    session.batch("BEGIN").await?;
    session
        .execute(
            "INSERT INTO trunkline.migration (name, id, format) VALUES ($1, $2, $3::integer) \
             ON CONFLICT (name) DO NOTHING",
            &[&identity.name, &identity.id, &FORMAT],
        )
        .await?;
    append_rows(session, &identity.name, entries).await?;
    session.batch("COMMIT").await.map(drop)
}
