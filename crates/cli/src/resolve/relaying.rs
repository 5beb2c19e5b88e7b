//! `[relay]`: a standby of the source that is read in its place.

use trunkline_migration::Error;
use trunkline_migration::plan::RelayPlan;
use trunkline_postgres::Conninfo;

use super::making::Keys;
use super::{conninfo, one_of, plan_error};
use crate::plan_file::RelayTable;

pub(super) fn relay(
    table: Option<&mut RelayTable>,
    source: &Conninfo,
) -> Result<Option<RelayPlan>, Error> {
    let Some(table) = table else { return Ok(None) };
    let made = table.provider.as_deref() == Some("basebackup");
    let known = ["adopt", "basebackup"];
    one_of("provider", table.provider.as_deref(), &known)?;
    let text = table.conninfo.as_deref().ok_or_else(|| {
        plan_error(
            "the relay is not given",
            "give `conninfo` in the plan's [relay]: a standby of the source",
        )
    })?;
    let server = conninfo("relay", text, table.password_env.as_deref())?;
    if server.database() != source.database() {
        return Err(plan_error(
            format!(
                "the relay's database is {:?}, the source's {:?}",
                server.database(),
                source.database()
            ),
            "a standby has the same databases as its primary: name the same one",
        ));
    }
    let keys = Keys {
        data_directory: table.data_directory.as_deref(),
        port: table.port,
        user: table.user.as_deref(),
        upgrade_to: None,
        programs: &table.programs,
    };
    let (_, port) = server.first_host();
    let made = if made {
        if table.slot.is_some() {
            return Err(plan_error(
                "[relay] has `slot` and provider = \"basebackup\"",
                "take `slot` out: a relay that we make streams from a slot of ours",
            ));
        }
        Some(keys.base_backup("relay", port, "relay")?)
    } else {
        keys.refuse("relay")?;
        None
    };
    table.conninfo = Some(server.without_password());
    Ok(Some(RelayPlan {
        server,
        slot: table.slot.clone(),
        made,
    }))
}
