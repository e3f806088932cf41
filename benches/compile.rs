//! The cost of loading a configuration: parsing, places, and every check, at several numbers of routes; and the cost of a file
//! with mistakes.
//!
//! It is incurred at start and at each reload, not for requests.

use std::hint::black_box;
use std::io;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis::config::compile::{Environment, compile};
use portcullis::config::load::load_text;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn file(routes: usize) -> String {
    let mut text = String::from(
        "version: 1\nlisteners: [{ name: main, address: 127.0.0.1:8080 }]\n\
         upstreams: { app: { endpoints: [127.0.0.1:9001] } }\nframing: deny\nroutes:\n",
    );
    for id in 0..routes {
        text.push_str(&format!(
            "  - name: r{id}\n    match: {{ host: h{}.example.com, path: \"/v{}/{{id}}\" }}\n    access: public\n    \
             upstream: app\n",
            id / 10,
            id % 10,
        ));
    }
    text
}

fn compiling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for routes in [10, 1000, 10_000] {
        let text = file(routes);
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| {
                let document = load_text("bench.yaml", black_box(text.as_bytes()), &Nothing).expect("valid");
                let (snapshot, diagnostics) = compile(&document, &Nothing);
                assert!(snapshot.is_some(), "{diagnostics:?}");
            });
        });
    }
}

/// What reporting a hundred mistakes costs, spread over the routes of a file.
fn diagnosing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("diagnose");
    group.sample_size(10);
    for routes in [100, 1000, 10_000] {
        let mut text = String::new();
        for (number, line) in file(routes).lines().enumerate() {
            // Four lines a route, after the five of the head.
            let wrong = number >= 7 && (number - 7) % (4 * routes / 100) == 0;
            text.push_str(&if wrong { line.replace("access:", "acess:") } else { line.to_owned() });
            text.push('\n');
        }
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| {
                let document = load_text("bench.yaml", black_box(text.as_bytes()), &Nothing).expect("readable");
                assert_eq!(document.diagnostics.len(), 100);
            });
        });
    }
}

criterion_group!(benches, compiling, diagnosing);
criterion_main!(benches);
