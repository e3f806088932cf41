//! Operations: deploying, reloading, upgrading, draining, rotating, watching.
//!
//! # The attack
//!
//! Most outages at an edge have no attacker. A file that was right yesterday is wrong today, a new binary can't do what the
//! old one did, a process is stopped in the middle of its requests, a disk is full, and nobody is told. The damage is the
//! same: what stands before everything takes everything with it. So every change is held to what a stranger is held to: it
//! may be wrong, and then nothing else is.
//!
//! # What happened to others
//!
//! * **Cloudflare**, 2 July 2019: one rule of the firewall, a regular expression that backtracks, was given to all machines
//!   at once; their processors were busy with it for 27 minutes.
//! * **Fastly**, 8 June 2021: a customer's valid configuration met a fault that a release had brought four weeks before; most of
//!   the network answered with errors.
//! * **Cloudflare**, 18 November 2025: a generated file had twice the entries that the proxy had room for. The bound was
//!   there, and what met it was a panic.
//! * **Google Cloud**, 12 June 2025: a policy with empty fields ended a process that had no test for that case, again at every
//!   start, everywhere within seconds.
//!
//! None of these was a reload that refused its file and went on with the one before.
//!
//! # How this code avoids it
//!
//! * **Changing the file.** It is compiled completely before it serves; what is wrong with it is told all at once, with its place
//!   ([`config::compile`](crate::config::compile)). Requests end on the configuration that they began with
//!   ([`config::store`](crate::config::store)). Patterns have no backtracking, and bounds of what is read at load are
//!   diagnostics.
//! * **Changing the binary.** `systemctl reload portcullis` checks the file and runs `portcullis upgrade`: the new process takes
//!   the sockets over once it is ready, and the old one drains. `deploy/systemd/portcullis.service` says why each line of it is
//!   there. A file that is wrong (exit status 78) is not tried again at every second; a crash is, for a while.
//! * **Stopping.** A signal starts a drain: readiness ends, requests do not. Whoever stops the gateway waits longer than that
//!   may take, be it systemd, Docker or Kubernetes.
//! * **A machine that is low on something.** Descriptors are raised to what the bounds need, or the start says what is missing
//!   (`src/proxy/runtime/descriptors.rs`). A log that can't be written costs lines, which are counted, and no
//!   request ([`telemetry::access_log`](crate::telemetry::access_log)).
//! * **Rotating logs.** The file is moved aside and opened anew at SIGUSR1: `deploy/logrotate/portcullis`.
//! * **Being told.** `deploy/prometheus/rules.yaml` has an alert for each of these, and a test fires every one of them;
//!   `deploy/grafana/portcullis.json` shows what led there. Every name of a metric is kept in one place
//!   ([`telemetry::metrics::names`](crate::telemetry::metrics::names)).
//! * **Being asked.** `/livez` says that the process turns, `/readyz` that it should get traffic: one is for restarting, the
//!   other for routing, and upstreams that are down are no reason for either. `portcullis health` asks for programs that speak
//!   no HTTP.
//!
//! # What is left to the owner
//!
//! * Not giving one change to all machines at once. `deploy/README.md` says how, by what each of them offers.
//! * `process.drain` as long as honest requests take, and the supervisor's patience above it.
//! * `portcullis check` before a file is put where a gateway reads it: in the pipeline that ships it, as the user that will
//!   read it, so that the rights of keys are tried too.
//! * Somebody who gets the alerts.
//!
//! # Kept so by
//!
//! * `tests/it/deploy.rs::every_configuration_that_is_shipped_is_valid`
//! * `tests/it/deploy.rs::whoever_stops_the_gateway_waits_longer_than_it_may_drain`
//! * `tests/it/deploy.rs::the_pod_offers_what_its_probes_and_its_service_ask_for`
//! * `tests/it/deploy/rotation.rs::rotation_under_load_loses_no_line`
//! * `tests/it/deploy/metrics.rs::dashboards_and_rules_name_only_metrics_and_labels_that_exist`
//! * `tests/it/deploy/metrics.rs::every_alert_is_tried`
//! * `tests/it/admin.rs::health_tells_ready_from_not_ready_and_from_nothing_there`
//! * `tests/it/cli.rs::run_refuses_what_check_refuses`
