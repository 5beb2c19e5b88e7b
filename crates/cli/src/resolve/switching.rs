//! What the plan and the command line say of a switch.

use std::time::Duration;

use trunkline_migration::Error;
use trunkline_migration::plan::{CutoverPlan, WayBack};
use trunkline_postgres::Conninfo;

use super::{Resolved, duration, one_of, size};
use crate::args::SwitchArgs;
use crate::plan_file::PlanFile;
use crate::smoke;
use crate::traffic_plan::{Surroundings, traffic};

/// How long the comparison inside the pause may take, if nothing else is said: with what the
/// other steps take, clients wait for less than half a second.
const RECHECK: Duration = Duration::from_millis(300);

impl Resolved {
    /// What a switch was told on its command line goes before the plan.
    pub(crate) fn adjust_switch(&mut self, args: &SwitchArgs) -> Result<(), Error> {
        let cutover = &mut self.plan.cutover;
        let (max_pause, max_lag) = (args.max_pause.as_deref(), args.max_lag.as_deref());
        cutover.max_pause = duration("max-pause", max_pause, cutover.max_pause)?;
        cutover.max_lag_bytes = size("max-lag", max_lag, cutover.max_lag_bytes)?;
        cutover.recheck = cutover.recheck.min(cutover.max_pause);
        Ok(())
    }
}

pub(super) fn cutover(
    file: &mut PlanFile,
    source: &Conninfo,
    target: &Conninfo,
    migration: &str,
) -> Result<CutoverPlan, Error> {
    let cutover = &mut file.cutover;
    let seconds = Duration::from_secs;
    let max_pause = duration("max_pause", cutover.max_pause.as_deref(), seconds(30))?;
    let around = Surroundings {
        source,
        target,
        migration,
        max_pause,
    };
    let traffic = traffic(cutover.traffic.as_mut(), &around)?;
    Ok(CutoverPlan {
        max_lag_bytes: size("max_lag", cutover.max_lag.as_deref(), 1 << 20)?,
        max_pause,
        recheck: duration(
            "recheck",
            cutover.recheck.as_deref(),
            max_pause.min(RECHECK),
        )?,
        way_back: way_back(cutover.way_back.as_deref())?,
        traffic,
        smoke: smoke::tests(&cutover.smoke)?,
        maintenance_database: cutover
            .maintenance_database
            .clone()
            .unwrap_or_else(|| "postgres".to_owned()),
    })
}

fn way_back(value: Option<&str>) -> Result<WayBack, Error> {
    one_of("way_back", value, &["open", "none"])?;
    Ok(match value {
        Some("none") => WayBack::None,
        _ => WayBack::Open,
    })
}
