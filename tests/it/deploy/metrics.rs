//! Dashboards and rules use only metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::telemetry::metrics::{Bound, names};
use serde_json::Value;

use super::promql::{self, Names};
use super::{read, yaml};
use crate::support::Gateway;

/// What Prometheus itself adds.
const SCRAPE: [&str; 2] = ["job", "instance"];

#[test]
fn dashboards_and_rules_name_only_metrics_and_labels_that_exist() {
    let rules = yaml("deploy/prometheus/rules.yaml");
    let tests = yaml("deploy/prometheus/rules.test.yaml");
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/portcullis.json")).expect("JSON");
    let known = Known::new(&rules);

    let mut offences = Vec::new();
    let mut queries = 0;
    for (place, query) in [("rules.yaml", &rules), ("rules.test.yaml", &tests), ("portcullis.json", &dashboard)]
        .into_iter()
        .flat_map(|(place, document)| queries_of(document).into_iter().map(move |query| (place, query)))
    {
        queries += 1;
        offences
            .extend(known.offences(&query).map(|offence| format!("{place}: {offence} in\n    {}", query.expression)));
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
    assert!(queries > 100, "only {queries} queries were found; has their form changed?");
}

#[test]
fn every_alert_is_tried() {
    let tried = read("deploy/prometheus/rules.test.yaml");
    let rules = yaml("deploy/prometheus/rules.yaml");
    let alerts: Vec<_> = rules_of(&rules).filter_map(|rule| rule["alert"].as_str()).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let (quoted, named) = (format!("\"{alert}\""), format!("alertname: {alert}\n"));
        assert!(tried.contains(&quoted) || tried.contains(&named), "no test fires {alert}");
    }
}

/// An expression, and the texts that show labels of its result.
struct Query {
    expression: String,
    shown: Vec<String>,
}

fn rules_of(rules: &Value) -> impl Iterator<Item = &Value> {
    let groups = rules["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"))
}

/// Everything in `document` that is named like an expression, wherever it stands.
fn queries_of(document: &Value) -> Vec<Query> {
    let mut found = Vec::new();
    match document {
        Value::Object(fields) => {
            let expression = ["expr", "series", "query"].into_iter().find_map(|key| fields.get(key)?.as_str());
            if let Some(expression) = expression.filter(|expression| *expression != "prometheus") {
                let annotations = fields.get("annotations").and_then(Value::as_object);
                let shown = ["legendFormat", "titleFormat"].into_iter().filter_map(|key| fields.get(key));
                let shown = shown.chain(annotations.into_iter().flat_map(|annotations| annotations.values()));
                let shown = shown.filter_map(Value::as_str).map(str::to_owned).collect();
                found.push(Query { expression: expression.to_owned(), shown });
            }
            found.extend(fields.values().flat_map(queries_of));
        }
        Value::Array(items) => found.extend(items.iter().flat_map(queries_of)),
        _ => {}
    }
    found
}

/// Every metric that may be asked for, with its labels.
struct Known(BTreeMap<String, BTreeSet<String>>);

impl Known {
    fn new(rules: &Value) -> Known {
        let mut known = BTreeMap::new();
        let mut add = |name: &str, labels: &[&str]| {
            known.insert(name.to_owned(), labels.iter().copied().chain(SCRAPE).map(str::to_owned).collect());
        };
        add("up", &[]);
        add("ALERTS", &["alertname", "alertstate", "severity"]);
        for spec in names::ALL {
            add(spec.name, spec.labels);
            // Which of them are histograms is known by their unit: those of one time have no distribution.
            if spec.name.ends_with("_duration_seconds") {
                add(&format!("{}_bucket", spec.name), &[spec.labels, &["le"]].concat());
                add(&format!("{}_sum", spec.name), spec.labels);
                add(&format!("{}_count", spec.name), spec.labels);
            }
        }
        let metrics = Gateway::start("routes: [{ name: all, access: public, respond: {} }]\n").metrics();
        for line in metrics.0.lines().filter(|line| line.starts_with("process_")) {
            add(line.split(' ').next().expect("a name"), &[]);
        }
        for rule in rules_of(rules) {
            if let (Some(name), Some(expression)) = (rule["record"].as_str(), rule["expr"].as_str()) {
                known.insert(name.to_owned(), promql::names(expression).grouping);
            }
        }
        Known(known)
    }

    fn offences(&self, query: &Query) -> impl Iterator<Item = String> {
        let named = promql::names(&query.expression);
        let mut offences = Vec::new();
        let mut labels = BTreeSet::new();
        for selector in &named.selectors {
            let Some(own) = self.0.get(&selector.metric) else {
                offences.push(format!("there is no metric {}", selector.metric));
                continue;
            };
            labels.extend(own.iter().cloned());
            for (label, value) in &selector.labels {
                // Whatever alerts carry is their own.
                if label != "__name__" && selector.metric != "ALERTS" && !own.contains(label) {
                    offences.push(format!("{} has no label {label}", selector.metric));
                }
                if label == "bound" && !Bound::ALL.iter().any(|bound| bound.as_str() == value) {
                    offences.push(format!("there is no bound {value}"));
                }
            }
        }
        let Names { grouping, .. } = named;
        offences.extend(grouping.difference(&labels).map(|label| format!("nothing has the label {label}")));
        let left = if grouping.is_empty() { &labels } else { &grouping };
        let shown: BTreeSet<String> = query.shown.iter().flat_map(|text| promql::placeholders(text)).collect();
        offences
            .extend(shown.difference(left).map(|label| format!("{label} is shown, and the result has no such label")));
        offences.into_iter()
    }
}
