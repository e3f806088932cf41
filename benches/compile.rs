//! What loading a configuration costs: parsing, places, and every check, at several numbers of routes.
//!
//! It is paid at start and at each reload, off the request path.

use std::hint::black_box;
use std::io;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis::config::compile::compile;
use portcullis::config::environment::Environment;
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

criterion_group!(benches, compiling);
criterion_main!(benches);
