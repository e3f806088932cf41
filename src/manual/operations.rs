//! Operations: deployment, reload, upgrade, drain, log rotation, monitoring.
//!
//! # The attack
//!
//! Most outages at an edge have no attacker. A configuration that was valid is changed and wrong, a new binary can't do what the
//! old one did, a process is stopped while it serves requests, a disk is full, and nobody is alerted. A failure of the edge
//! is a failure of everything behind it. So every change is treated like input from a client: it may be wrong, and must then
//! change nothing else.
//!
//! # Known cases
//!
//! * **Cloudflare**, 2 July 2019: one firewall rule, a regular expression that backtracks, was deployed to all machines at
//!   once; it occupied their processors for 27 minutes.
//! * **Fastly**, 8 June 2021: a customer's valid configuration triggered a fault that a release had introduced four weeks
//!   before; most of the network answered with errors.
//! * **Cloudflare**, 18 November 2025: a generated file had twice the entries that the proxy had room for. The bound was
//!   checked, and exceeding it was a panic.
//! * **Google Cloud**, 12 June 2025: a policy with empty fields crashed a process that did not handle that case, again at every
//!   start, everywhere within seconds.
//!
//! In none of these cases did a reload refuse the file and keep the previous one.
//!
//! # How this code avoids it
//!
//! * **Configuration changes.** A configuration is compiled completely before it serves; all errors are reported at once, with
//!   their places ([`config::compile`](crate::config::compile)). A request ends with the configuration with which it began
//!   ([`config::store`](crate::config::store)). Regular expressions don't backtrack, and exceeding a bound at load is a
//!   diagnostic.
//! * **Binary changes.** `systemctl reload portcullis` checks the configuration and runs `portcullis upgrade`: the new process
//!   takes over the sockets once it is ready, and the old one drains. `deploy/systemd/portcullis.service` gives the reason for
//!   each of its lines. A wrong configuration (exit status 78) is not retried every second; a crash is, for a while.
//! * **Stopping.** A signal starts a drain: readiness ends, requests continue. systemd, Docker and Kubernetes are configured to
//!   wait longer than the drain may take.
//! * **Low resources.** The limit on descriptors is raised to what the bounds need, or the start reports what is missing
//!   (`src/proxy/runtime/descriptors.rs`). A log that can't be written loses lines, which are counted, and no
//!   request ([`telemetry::access_log`](crate::telemetry::access_log)); nor does a standard error that nobody reads
//!   ([`telemetry::program_log`](crate::telemetry::program_log)).
//! * **Log rotation.** The file is moved and reopened at SIGUSR1: `deploy/logrotate/portcullis`. While that fails, lines go on to the
//!   old file, it is told and counted, and tried again. Opening and writing never wait for the reader of a pipe.
//! * **A runtime folder that somebody deletes** is made again, or asked for where the gateway may not make it.
//! * **Alerts.** `deploy/prometheus/rules.yaml` has an alert for each of these, and a test triggers every one of them;
//!   `deploy/grafana/portcullis.json` shows the history. Every name of a metric is declared in one place
//!   ([`telemetry::metrics::names`](crate::telemetry::metrics::names)).
//! * **Probes.** `/livez` says that the process works, `/readyz` that it should get traffic: the first is for restarts, the
//!   second for routing. Failed upstreams affect neither. `portcullis health` is for supervisors that speak no HTTP.
//!
//! # Left to the operator
//!
//! * Deploying a change in stages. `deploy/README.md` describes how, for each environment.
//! * `process.drain` as long as ordinary requests take, and the supervisor's timeout above it.
//! * `portcullis check` before a file is put where a gateway reads it: in the deployment pipeline, as the user that will
//!   read it, so that the permissions of keys are checked too.
//! * A recipient for the alerts.
//!
//! # Tests
//!
//! * `tests/it/deploy.rs::every_configuration_that_is_shipped_is_valid`
//! * `tests/it/deploy.rs::whoever_stops_the_gateway_waits_longer_than_it_may_drain`
//! * `tests/it/deploy.rs::the_pod_offers_what_its_probes_and_its_service_ask_for`
//! * `tests/it/deploy/rotation.rs::rotation_under_load_loses_no_line`
//! * `tests/it/access_log.rs::a_name_that_can_not_be_opened_on_sigusr1_is_told_counted_and_tried_again`
//! * `tests/it/access_log.rs::a_pipe_on_sigusr1_takes_lines_once_somebody_reads_it`
//! * `tests/it/runtime_folder.rs::a_folder_that_the_gateway_may_not_make_again_is_asked_for`
//! * `tests/it/deploy/metrics.rs::dashboards_and_rules_name_only_metrics_and_labels_that_exist`
//! * `tests/it/deploy/metrics.rs::every_alert_is_tried`
//! * `tests/it/process.rs::a_reader_of_messages_that_stands_still_holds_up_nothing`
//! * `tests/it/admin.rs::health_tells_ready_from_not_ready_and_from_nothing_there`
//! * `tests/it/cli.rs::run_refuses_what_check_refuses`
