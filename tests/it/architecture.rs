//! Conventions that the compiler does not check: allowed imports between folders, and properties of files.
//!
//! The rules are data. A folder that needs more than its row says is a change of the design: change the row, and the map in
//! the crate docs, together. Code under `#[cfg(test)]` is exempt, since what a test borrows does not ship.

mod cycles;
mod names;
mod paths;

use std::fs;
use std::path::Path;

use self::cycles::circles;
use self::names::twins;
use self::paths::{Path as UsedPath, is_test_file};

/// What the files of one top-level module may use of the crate's other top-level modules.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    why: &'static str,
}

/// From the top down: nothing uses what stands above it.
const LAYERS: &[Layer] = &[
    Layer { name: "main", may_use: &["cli"], why: "everything is in the library, where tests reach it" },
    Layer {
        name: "cli",
        may_use: &[
            "admin::api",
            "admin::command",
            "app",
            "config",
            "decision",
            "diagnostics",
            "files",
            "import",
            "runtime_folder",
            "secret",
            "signal_mask",
            "telemetry::program_log",
        ],
        why: "a command reads its arguments and calls what does the work",
    },
    Layer {
        name: "app",
        may_use: &[
            "admin",
            "config",
            "decision",
            "diagnostics",
            "files",
            "handover",
            "privileges",
            "proxy",
            "runtime_folder",
            "sandbox",
            "secret",
            "service_manager",
            "state",
            "telemetry",
        ],
        why: "the composition root wires the parts and knows nothing of commands",
    },
    Layer {
        name: "import",
        may_use: &["config", "diagnostics", "secret"],
        why: "an importer turns text into a raw configuration, without a running gateway",
    },
    Layer {
        name: "proxy",
        may_use: &[
            "config::endpoints_in_file",
            "config::snapshot",
            "config::store",
            "decision",
            "diagnostics",
            "faults",
            "secret",
            "signal_mask",
            "state",
            "telemetry",
        ],
        why: "the enforcement point is wired from above, and enforces what is compiled",
    },
    Layer {
        name: "admin",
        may_use: &["config", "decision::rollout", "diagnostics", "secret", "state", "telemetry"],
        why: "the admin listener shows what is, and passes on what is asked; it decides nothing",
    },
    Layer {
        name: "telemetry",
        may_use: &["config::log_template", "config::snapshot", "decision", "sandbox"],
        why: "recording knows what was decided and how it is to be written, nothing else",
    },
    Layer {
        name: "state",
        may_use: &["config::snapshot", "decision", "files", "secret"],
        why: "state outlives configurations and reads only compiled ones",
    },
    Layer {
        name: "handover",
        may_use: &["service_manager::NotifySettings"],
        why: "sockets change hands without either side's configuration",
    },
    Layer { name: "runtime_folder", may_use: &[], why: "it is a folder with sockets, whoever listens at them" },
    Layer { name: "signal_mask", may_use: &[], why: "the first instruction needs nothing" },
    Layer { name: "service_manager", may_use: &[], why: "what it is told is a few words" },
    Layer {
        name: "privileges",
        may_use: &["config::snapshot"],
        why: "giving up rights needs to know for whom, nothing else",
    },
    Layer {
        name: "config",
        may_use: &["decision", "diagnostics", "files", "secret"],
        why: "a configuration compiles without a gateway around it",
    },
    Layer {
        name: "decision",
        may_use: &["diagnostics::Place", "secret"],
        why: "decisions are pure functions over values",
    },
    Layer { name: "diagnostics", may_use: &[], why: "everything speaks it, so it knows nothing" },
    Layer { name: "faults", may_use: &[], why: "a fault is asked for by a header or a file, and by nothing else" },
    Layer {
        name: "files",
        may_use: &["decision::defaults", "faults", "sandbox"],
        why: "what a path leads to is asked of the system, whoever names it",
    },
    Layer { name: "sandbox", may_use: &[], why: "it is told what the process needs, and knows nobody who needs it" },
    Layer { name: "secret", may_use: &[], why: "everything holds it, so it knows nothing" },
    Layer { name: "manual", may_use: &[], why: "it is words about the others, and uses none of them" },
];

const fn room(name: &'static str, may_use: &'static [&'static str], why: &'static str) -> Layer {
    Layer { name, may_use, why }
}

/// The same within `proxy`.
const ROOMS: &[Layer] = &[
    room(
        "server",
        &["connection", "drain", "fast_lane", "hooks", "reply", "runtime", "tls", "upkeep", "upstream"],
        "it wires and starts what serves",
    ),
    room(
        "fast_lane",
        &["connection", "header_editor", "hooks", "reply", "runtime"],
        "an exchange of its own, by the steps that the hooks take too",
    ),
    room(
        "hooks",
        &["connection", "drain", "header_editor", "reply", "request_id", "runtime", "upstream"],
        "a request does not know who accepted it",
    ),
    room(
        "connection",
        &["drain", "hpack", "reply", "request_id", "runtime", "upstream"],
        "a stream does not know what hooks decide",
    ),
    room("upkeep", &["runtime", "upstream"], "it works beside requests, on what they share"),
    room("runtime", &["drain", "reply", "tls", "upstream"], "what all share knows nobody who uses it"),
    room("upstream", &[], "a connection to an origin does not know for which request it is"),
    room("reply", &["header_editor", "hpack", "request_id"], "an answer is a value"),
    room("drain", &[], "everything asks how far it is"),
    room("header_editor", &[], "heads of Pingora as decisions edit them"),
    room("hpack", &[], "an encoding"),
    room("request_id", &[], "a value"),
    room("tls", &[], "it knows certificates only"),
];

/// Single files that may use more than their layer.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/proxy/server/admin.rs", "admin", "serves the admin handlers on a socket"),
    ("src/proxy/server/admin/connections.rs", "admin", "closes connections by how far those handlers are"),
    ("src/proxy/upkeep/health.rs", "admin", "says there which upstream has no address yet"),
    ("src/proxy/server.rs", "admin", "mounts the admin listener"),
    (
        "src/proxy/server/signals.rs",
        "admin",
        "says there when the process drains, and gives the commands that signals stand for",
    ),
];

/// Folders that still have a circle of imports, with the reason.
const CIRCLES: &[(&str, &str)] = &[];

/// Names that more than one type still has.
const TWINS: &[&str] = &[];

/// A path of another crate that may only be used in some folders.
struct Ban {
    /// Matches from its first segment on; a last `*` stands for the rest of a segment.
    path: &'static str,
    /// Where it is banned; empty for everywhere.
    within: &'static [&'static str],
    except: &'static [&'static str],
    why: &'static str,
}

const PURE: &[&str] = &["decision"];

const BANS: &[Ban] = &[
    Ban {
        path: "pingora_limits",
        within: &[],
        except: &["proxy", "state"],
        why: "counters of requests in progress are state",
    },
    Ban {
        path: "pingora*",
        within: &[],
        except: &["proxy"],
        why: "only proxy/ knows Pingora, which changes every release",
    },
    Ban {
        path: "std::thread::sleep",
        within: &[],
        except: &[],
        why: "a sleeping thread can be neither woken nor stopped; wait for an event with a timeout",
    },
    pure("tokio*", "a decision waits for nothing: it asks, and the adapter fetches"),
    pure("std::fs", "what a file says is compiled at load"),
    pure("std::env", "what the environment says is compiled at load"),
    pure("std::process", "a decision starts and ends nothing"),
    pure("std::thread", "a decision runs where it is called"),
    pure("std::net::TcpListener", "a decision opens no socket"),
    pure("std::net::TcpStream", "a decision opens no socket"),
    pure("std::net::ToSocketAddrs", "a decision resolves no name"),
    pure("std::net::UdpSocket", "a decision opens no socket"),
    pure("std::os", "a decision does not know the operating system"),
    pure("std::time::Instant::now", "the time is passed in"),
    pure("std::time::SystemTime::now", "the time is passed in"),
    pure("time::OffsetDateTime::now_utc", "the time is passed in"),
    pure("std::sync::LazyLock", "globals hide an input"),
    pure("std::thread_local", "globals hide an input"),
    pure("aws_lc_rs::rand", "randomness is passed in"),
    pure("fastrand", "randomness is passed in"),
    pure("log", "what is to be said is part of the value that a decision returns"),
];

const fn pure(path: &'static str, why: &'static str) -> Ban {
    Ban { path, within: PURE, except: &[], why }
}

/// Longest file, in lines, tests included.
const MAX_LINES: usize = 500;

/// Files that are one idea and longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn folders_use_only_what_stands_below_them() {
    refuse(sources().flat_map(|(file, text)| layer_offences(&file, &text)));
}

#[test]
fn rooms_of_the_proxy_use_only_what_stands_below_them() {
    refuse(sources().flat_map(|(file, text)| room_offences(&file, &text)));
    let files: Vec<String> = sources().map(|(file, _)| file).collect();
    let rooms = files.iter().filter_map(|file| file.strip_prefix("src/proxy/")).map(layer_name);
    refuse(
        rooms
            .filter(|room| ROOMS.iter().all(|known| known.name != *room))
            .map(|room| format!("`{room}` has no row in ROOMS")),
    );
}

#[test]
fn crates_are_used_only_where_they_belong() {
    refuse(sources().flat_map(|(file, text)| ban_offences(&file, &text)));
}

#[test]
fn no_folder_has_a_circle_of_imports() {
    let circles = circles(&sources().collect::<Vec<_>>());
    let known = |folder: &str| CIRCLES.iter().any(|(known, _)| *known == folder);
    let gone = CIRCLES.iter().filter(|(known, _)| circles.iter().all(|circle| circle.folder != *known));
    let gone = gone.map(|(folder, _)| format!("{folder} has no circle of imports any more: take it out of CIRCLES"));
    let new = circles.iter().filter(|circle| !known(&circle.folder)).map(|circle| circle.message.clone());
    refuse(new.chain(gone));
}

#[test]
fn no_two_types_have_one_name() {
    let twins = twins(&sources().collect::<Vec<_>>());
    let gone = TWINS.iter().filter(|name| !twins.contains_key(**name));
    let gone = gone.map(|name| format!("{name} is declared once: take it out of TWINS"));
    let new = twins.iter().filter(|(name, _)| !TWINS.contains(&name.as_str()));
    refuse(new.map(|(name, places)| format!("`{name}` is declared at {}", places.join(", "))).chain(gone));
}

#[test]
fn every_top_level_module_has_its_layer() {
    refuse(sources().filter_map(|(file, _)| {
        let name = layer_name(&file);
        let known = name == "lib" || LAYERS.iter().any(|layer| layer.name == name);
        (!known).then(|| format!("{file}:1: `{name}` has no row in LAYERS"))
    }));
}

#[test]
fn files_hold_one_idea() {
    refuse(sources().filter_map(|(file, text)| {
        let lines = text.lines().count();
        let listed = LONG_FILES.iter().any(|(long, _)| *long == file);
        (lines > MAX_LINES && !listed).then(|| format!("{file}:{MAX_LINES}: {lines} lines; split it by idea"))
    }));
}

#[test]
fn modules_stand_beside_their_folder() {
    refuse(sources().filter_map(|(file, _)| {
        file.ends_with("/mod.rs").then(|| format!("{file}:1: name it after its module, beside the folder"))
    }));
}

#[test]
fn nothing_is_left_to_do() {
    refuse(sources().flat_map(|(file, text)| {
        let calls = paths::macro_calls(&text);
        calls
            .into_iter()
            .filter(|(_, name)| name == "todo" || name == "unimplemented")
            .map(|(line, name)| format!("{file}:{line}: `{name}!`"))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn exceptions_are_for_files_that_exist() {
    let files: Vec<String> = sources().map(|(file, _)| file).collect();
    let listed = EXCEPTIONS.iter().map(|(file, ..)| file).chain(LONG_FILES.iter().map(|(file, _)| file));
    refuse(
        listed.filter(|file| !files.iter().any(|each| each == *file)).map(|file| format!("{file}:1: does not exist")),
    );
}

#[test]
fn an_offence_is_named_with_its_line_and_its_rule() {
    let layer = layer_offences("src/decision/route.rs", "use std::fmt;\nuse crate::proxy::server;\n");
    assert_eq!(
        layer,
        ["src/decision/route.rs:2: `crate::proxy::server`: decision may use diagnostics::Place, secret of the crate \
          (decisions are pure functions over values)"]
    );
    let clock = "use std::time::Instant;\n\nfn f() { Instant::now(); }\n#[cfg(test)]\nmod tests { fn g() { Instant::now(); } }\n";
    assert_eq!(
        ban_offences("src/decision/route.rs", clock),
        ["src/decision/route.rs:3: `std::time::Instant::now` is not for decision (the time is passed in)"]
    );
    assert_eq!(ban_offences("src/proxy.rs", clock), [""; 0]);
    assert_eq!(ban_offences("src/state/limits.rs", "use pingora_limits::inflight::Inflight;"), [""; 0]);
    assert_eq!(ban_offences("src/state/limits.rs", "use pingora::lb::Backend;").len(), 1);
}

fn layer_offences(file: &str, text: &str) -> Vec<String> {
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == layer_name(file)) else { return Vec::new() };
    let excepted = EXCEPTIONS.iter().filter(|(excepted, ..)| *excepted == file).map(|(_, path, _)| *path);
    let allowed: Vec<&str> = layer.may_use.iter().copied().chain(excepted).collect();
    let mut offences = Vec::new();
    for UsedPath { line, segments, .. } in paths::paths(file, text) {
        let [root, rest @ ..] = segments.as_slice() else { continue };
        let Some(module) = rest.first().filter(|_| root == "crate") else { continue };
        let foreign = module != layer.name && LAYERS.iter().any(|other| other.name == module);
        if foreign && !allowed.iter().any(|path| starts_with(rest, path)) {
            let (name, may_use, why) = (layer.name, allowed.join(", "), layer.why);
            let used = segments.join("::");
            offences.push(format!("{file}:{line}: `{used}`: {name} may use {may_use} of the crate ({why})"));
        }
    }
    offences
}

fn room_offences(file: &str, text: &str) -> Vec<String> {
    let Some(room) = file.strip_prefix("src/proxy/").map(layer_name) else { return Vec::new() };
    let Some(Layer { may_use, why, .. }) = ROOMS.iter().find(|known| known.name == room) else { return Vec::new() };
    let foreign = |segments: &[String]| match segments {
        [root, layer, other, ..] if root == "crate" && layer == "proxy" && other != room => {
            ROOMS.iter().any(|known| known.name == other) && !may_use.contains(&other.as_str())
        }
        _ => false,
    };
    let paths = paths::paths(file, text).into_iter().filter(|path| foreign(&path.segments));
    paths
        .map(|UsedPath { line, segments, .. }| {
            format!("{file}:{line}: `{}`: {room} may use {} of proxy ({why})", segments.join("::"), may_use.join(", "))
        })
        .collect()
}

fn ban_offences(file: &str, text: &str) -> Vec<String> {
    let layer = layer_name(file);
    let mut offences = Vec::new();
    for UsedPath { line, segments, .. } in paths::paths(file, text) {
        // The first ban that matches decides, so that a narrow one can stand before a wide one.
        let Some(ban) = BANS
            .iter()
            .find(|ban| (ban.within.is_empty() || ban.within.contains(&layer)) && starts_with(&segments, ban.path))
        else {
            continue;
        };
        if !ban.except.contains(&layer) {
            offences.push(format!("{file}:{line}: `{}` is not for {layer} ({})", segments.join("::"), ban.why));
        }
    }
    offences
}

fn starts_with(segments: &[String], pattern: &str) -> bool {
    let mut segments = segments.iter();
    pattern.split("::").all(|wanted| {
        segments.next().is_some_and(|segment| match wanted.strip_suffix('*') {
            Some(prefix) => segment.starts_with(prefix),
            None => segment == wanted,
        })
    })
}

/// `src/decision/access.rs` and `src/decision.rs` belong to `decision`.
fn layer_name(file: &str) -> &str {
    let below = file.strip_prefix("src/").unwrap_or(file);
    below.split(['/', '.']).next().unwrap_or(below)
}

#[track_caller]
fn refuse(offences: impl Iterator<Item = String>) {
    let offences: Vec<String> = offences.collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// Every file below `src`, by its path from the project's folder, with its text. Files of tests are left out.
fn sources() -> impl Iterator<Item = (String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files.into_iter().filter(|(name, _)| !is_test_file(name))
}
