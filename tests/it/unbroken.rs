//! Changes by an operator and killed endpoints fail no request of a client.

use crate::support::load::{Load, LoadPlan, Report};
use crate::support::scene::{Scene, configuration};

/// Ends the load and fails if it was anything but smooth.
#[track_caller]
fn end(load: Load) {
    let reports = load.end();
    let failures: Vec<String> = reports.iter().filter(|report| !report.failures.is_empty()).map(describe).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for report in &reports {
        assert!(report.requests > 0, "{} never had an answer", report.kind);
    }
}

fn describe(report: &Report) -> String {
    format!("{}: {} of {} failed: {:?}", report.kind, report.failures.len(), report.requests, report.failures)
}

#[test]
fn fifty_reloads_and_dying_endpoints_cost_nobody_a_request() {
    let scene = Scene::start(&configuration(0));
    let load = Load::start(&scene.target, &LoadPlan::ordinary());
    scene.while_endpoints_die(|| {
        for round in 1..=50 {
            scene.gateway.reload(&configuration(round));
        }
    });
    end(load);
}

#[test]
fn ten_upgrades_and_dying_endpoints_cost_nobody_a_request() {
    let scene = Scene::start(&configuration(0));
    let load = Load::start(&scene.target, &LoadPlan::ordinary());
    scene.while_endpoints_die(|| {
        for _ in 0..10 {
            scene.gateway.upgrade();
        }
    });
    end(load);
}
