//! A running gateway: the real binary on a configuration of its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::client::{self, Client, Response};
use super::origin::Origin;
use super::ports::free_address;
use super::wait;

pub const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// A configuration before it runs. `<name>` in its text stands for a value given by [`Setup::with`].
///
/// What nearly every test needs is added where the text does not have it: the version, a listener `main` on
/// `<listen>`, the admin listener on `<admin>`, and with [`Setup::origin`] an upstream `origin`.
pub struct Setup {
    yaml: String,
    values: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    unset: Vec<String>,
    dir: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    /// Runs this file as it is, instead of `yaml`.
    existing: Option<PathBuf>,
    /// Arguments of `ulimit` for the process.
    ulimit: Option<String>,
}

impl Setup {
    pub fn new(yaml: &str) -> Self {
        let yaml = completed(yaml);
        let (address, admin) = (free_address(), free_address());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let values = vec![
            ("listen".to_owned(), address.to_string()),
            ("admin".to_owned(), admin.to_string()),
            ("dir".to_owned(), dir.path().display().to_string()),
        ];
        Setup {
            yaml,
            values,
            variables: Vec::new(),
            arguments: Vec::new(),
            unset: Vec::new(),
            dir,
            address,
            admin,
            existing: None,
            ulimit: None,
        }
    }

    /// A file of the project as it is. It must take its listener from `LISTEN`.
    pub fn existing(file: PathBuf) -> Self {
        let mut setup = Setup::new("");
        setup.existing = Some(file);
        let (address, admin) = (setup.address, setup.admin);
        setup.variable("LISTEN", address).variable("ADMIN", admin)
    }

    /// Puts `value` where the text says `<name>`.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.values.push((name.to_owned(), value.to_string()));
        self
    }

    /// Makes `origin` the only endpoint of the upstream `origin`, unless the text declares upstreams; `<origin>`.
    pub fn origin(mut self, origin: &Origin) -> Self {
        self.yaml = before_origin(&self.yaml);
        self.with("origin", origin.address())
    }

    /// Writes a file into the configuration's folder, `<dir>`, for its owner only: it may be a key.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("a writable temporary folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
        self
    }

    /// Sets an environment variable of the process.
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Gives `run` further arguments.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Takes an environment variable away that [`Setup::command`] would give.
    pub fn without_variable(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Limits the process's resources, by the arguments that the shell's `ulimit` knows.
    pub fn ulimit(mut self, arguments: &str) -> Self {
        self.ulimit = Some(arguments.to_owned());
        self
    }

    /// Starts the gateway and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let file = self.write();
        let stdout = self.dir.path().join("stdout");
        let stderr = self.dir.path().join("stderr");
        let child = self
            .command()
            .arg("run")
            .arg(&file)
            .args(&self.arguments)
            .stdout(File::create(&stdout).expect("a writable temporary folder"))
            .stderr(File::create(&stderr).expect("a writable temporary folder"))
            .spawn()
            .expect("the binary starts");
        let mut gateway = Gateway {
            child,
            dir: self.dir,
            file,
            values: self.values,
            stdout,
            stderr,
            address: self.address,
            admin: self.admin,
        };
        gateway.wait_until_ready();
        gateway
    }

    /// Runs `portcullis COMMAND FILE ARGUMENTS…` to its end, for commands and failed starts.
    pub fn output(&self, command: &str, arguments: &[&str]) -> Output {
        let file = self.write();
        let child = self
            .command()
            .arg(command)
            .arg(file)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        output_in_time(child)
    }

    /// The folder of the configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the listener `main` will listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin listener will listen.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The configuration file with every value in its place.
    pub fn write(&self) -> PathBuf {
        if let Some(file) = &self.existing {
            return file.clone();
        }
        let file = self.dir.path().join("portcullis.yaml");
        fs::write(&file, filled(&self.yaml, &self.values)).expect("a writable temporary folder");
        file
    }

    pub fn command(&self) -> Command {
        let mut command = match &self.ulimit {
            None => Command::new(BINARY),
            Some(arguments) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit {arguments} && exec \"$0\" \"$@\""), BINARY]);
                shell
            }
        };
        // One of its own: the system's would be shared with every other gateway.
        command.env("PORTCULLIS_RUNTIME", self.dir.path().join("run"));
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null());
        for name in &self.unset {
            command.env_remove(name);
        }
        command
    }
}

/// `yaml` with what nearly every test needs.
fn completed(yaml: &str) -> String {
    let mut yaml = yaml.to_owned();
    let mut add = |key: &str, line: &str| {
        if !has(&yaml, key) {
            yaml = format!("{line}\n{yaml}");
        }
    };
    add("admin:", "admin: { address: \"<admin>\" }");
    add("listeners:", "listeners: [{ name: main, address: \"<listen>\" }]");
    add("version:", "version: 1");
    match std::env::var(LANE) {
        Ok(lane) if lane == "full" => on_full_lane(yaml),
        _ => yaml,
    }
}

/// The environment variable that says which lane the tests run on: `full` switches the fast lane off in every configuration that
/// says nothing of it.
pub const LANE: &str = "PORTCULLIS_TEST_LANE";

fn on_full_lane(yaml: String) -> String {
    const OFF: &str = "fast_lane: \"off\"";
    if yaml.contains("fast_lane:") {
        yaml
    } else if yaml.contains("\nprocess: {") || yaml.starts_with("process: {") {
        yaml.replacen("process: {", &format!("process: {{ {OFF},"), 1)
    } else if has(&yaml, "process:") {
        yaml.replacen("process:", &format!("process:\n  {OFF}"), 1)
    } else {
        format!("{yaml}\nprocess: {{ {OFF} }}\n")
    }
}

/// `yaml` with an upstream `origin`, unless it declares upstreams.
fn before_origin(yaml: &str) -> String {
    if has(yaml, "upstreams:") {
        return yaml.to_owned();
    }
    format!("{yaml}\nupstreams: {{ origin: {{ endpoints: [\"<origin>\"] }} }}\n")
}

fn has(yaml: &str, key: &str) -> bool {
    yaml.lines().any(|line| line.starts_with(key))
}

/// `yaml` with every value in its place.
fn filled(yaml: &str, values: &[(String, String)]) -> String {
    values.iter().fold(yaml.to_owned(), |yaml, (name, value)| yaml.replace(&format!("<{name}>"), value))
}

/// The end of a process that must come by itself; one that stays is killed and fails the test.
#[track_caller]
pub fn output_in_time(mut child: Child) -> Output {
    // Read while it runs: a process that writes more than a pipe holds would wait for a reader, and never end.
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let start = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
        }
        if start.elapsed() > wait::DEADLINE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the process did not end by itself\n{}", String::from_utf8_lossy(&stderr.join().unwrap()));
        }
        std::thread::sleep(std::time::Duration::from_millis(4));
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut read = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut read);
        }
        read
    })
}

/// `portcullis ARGUMENTS…`, run to its end.
#[track_caller]
pub fn portcullis(arguments: &[&str]) -> Output {
    let child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    output_in_time(child)
}

/// A gateway that serves. It ends with this value.
pub struct Gateway {
    child: Child,
    dir: TempDir,
    file: PathBuf,
    values: Vec<(String, String)>,
    stdout: PathBuf,
    stderr: PathBuf,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    /// Starts one on `yaml`, see [`Setup`].
    #[track_caller]
    pub fn start(yaml: &str) -> Gateway {
        Setup::new(yaml).start()
    }

    /// Starts one on `yaml` before `origin`, see [`Setup::origin`].
    #[track_caller]
    pub fn before(origin: &Origin, yaml: &str) -> Gateway {
        Setup::new(yaml).origin(origin).start()
    }

    /// Where the listener `main` listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of the configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The runtime folder.
    pub fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The process that is found in the runtime folder: another one than [`Gateway::pid`] after an upgrade.
    pub fn serving_pid(&self) -> Option<u32> {
        let link = fs::read_link(self.runtime().join("control.sock")).ok()?;
        link.to_str()?.strip_prefix("control.")?.strip_suffix(".sock")?.parse().ok()
    }

    /// Every process that has a socket in the runtime folder.
    pub fn pids(&self) -> Vec<u32> {
        let names = fs::read_dir(self.runtime()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let pid = |name: &str| name.strip_prefix("control.")?.strip_suffix(".sock")?.parse().ok();
        names.filter_map(|name| pid(name.to_str()?)).collect()
    }

    /// The configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Kills the process and starts another one on the same file, in the same folder, with the same outputs.
    #[track_caller]
    pub fn kill_and_restart(&mut self) {
        kill(self.child.id(), "KILL");
        let _ = self.child.wait();
        let append = |path: &Path| File::options().append(true).open(path).expect("a file of ours");
        self.child = Command::new(BINARY)
            .arg("run")
            .arg(&self.file)
            .env("PORTCULLIS_RUNTIME", self.runtime())
            .stdin(Stdio::null())
            .stdout(append(&self.stdout))
            .stderr(append(&self.stderr))
            .spawn()
            .expect("the binary starts");
        self.wait_until_ready();
    }

    /// Runs `portcullis COMMAND… --runtime FOLDER` to its end.
    #[track_caller]
    pub fn order(&self, command: &[&str]) -> Output {
        let runtime = self.runtime();
        let runtime = runtime.to_str().expect("a path in UTF-8");
        portcullis(&[command, &["--runtime", runtime]].concat())
    }

    /// Has another process follow it, and gives the pid of the one that serves now.
    #[track_caller]
    pub fn upgrade(&self) -> u32 {
        let old = self.serving_pid().expect("a gateway that is found");
        let output = self.order(&["upgrade"]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words}");
        let new = self.serving_pid().expect("a gateway that is found");
        assert_ne!(new, old);
        assert!(words.contains(&format!("upgraded: process {new} serves, process {old} drains")), "{words}");
        new
    }

    /// A new connection to the listener `main`.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        client::get(self.address, path)
    }

    /// GET with further headers, on a connection of its own.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.connect().request("GET", path, headers, b"")
    }

    /// Any request on a connection of its own.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.connect().request(method, path, headers, body)
    }

    /// The lines of the access log on standard output so far.
    pub fn log_lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.stdout).unwrap_or_default();
        // The last line may be half written.
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        text[..end]
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the log line {line}")))
            .collect()
    }

    /// What stands on standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What stands on standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until it has said `text`: messages are written by a thread of their own, a little after what they tell.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let said = || self.stderr().contains(text).then_some(());
        wait::until(&format!("the message `{text}`"), said);
    }

    /// The first log line that `wanted` accepts; lines come a little after the answer.
    #[track_caller]
    pub fn eventually_logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = || self.log_lines().into_iter().find(|line| wanted(line));
        let start = std::time::Instant::now();
        loop {
            if let Some(line) = found() {
                return line;
            }
            assert!(start.elapsed() < wait::DEADLINE, "no such line in the log:\n{}", self.stdout());
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
    }

    /// The log line of the request to `path`.
    #[track_caller]
    pub fn logged_path(&self, path: &str) -> Value {
        self.eventually_logged(|line| line["path"] == path)
    }

    /// Waits until the log has `count` lines and gives them. Those of different connections come in no order.
    #[track_caller]
    pub fn logged(&self, count: usize) -> Vec<Value> {
        wait::until("enough log lines", || Some(self.log_lines()).filter(|lines| lines.len() >= count))
    }

    /// The metrics as the admin listener shows them.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer = client::get_by_address(self.admin, "/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics(answer.text())
    }

    /// Resident memory of the process, in bytes.
    #[track_caller]
    pub fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// Sends a signal, by the name that kill(1) knows.
    pub fn signal(&self, name: &str) {
        assert!(kill(self.child.id(), name), "cannot send SIG{name}");
    }

    /// Writes another configuration in the place of the one that it runs, with the values of its [`Setup`].
    pub fn rewrite(&self, yaml: &str) {
        let yaml = completed(yaml);
        let yaml = if self.values.iter().any(|(name, _)| name == "origin") { before_origin(&yaml) } else { yaml };
        fs::write(&self.file, filled(&yaml, &self.values)).expect("a writable temporary folder");
    }

    /// Writes another configuration, has it reloaded by SIGHUP, and waits until it is in force.
    #[track_caller]
    pub fn reload(&self, yaml: &str) {
        self.rewrite(yaml);
        let outcome = self.hang_up();
        assert_eq!(outcome, "applied", "{}", self.stderr());
    }

    /// Sends SIGHUP and waits for what comes of it: `applied` or `refused`.
    #[track_caller]
    pub fn hang_up(&self) -> &'static str {
        let count =
            |metrics: &Metrics, outcome| metrics.sum("portcullis_config_reloads_total", &[("outcome", outcome)]) as u64;
        let before = self.metrics();
        self.signal("HUP");
        wait::until("the reload", || {
            let now = self.metrics();
            ["applied", "refused"].into_iter().find(|outcome| count(&now, outcome) > count(&before, outcome))
        })
    }

    /// Asks the gateway to drain and waits for its end.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the process's own end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait::until("the gateway to end", || self.child.try_wait().expect("a child of ours"))
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let yaml = fs::read_to_string(&self.file).unwrap_or_default();
        let has_admin = yaml.contains(&self.admin.to_string());
        let probed = if has_admin { self.admin } else { self.address };
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("the gateway ended with {status}:\n{}\n{yaml}", self.stderr());
            }
            if TcpStream::connect(probed).is_ok() && (!has_admin || is_ready(probed)) {
                return;
            }
            if start.elapsed() > wait::DEADLINE {
                panic!("the gateway never became ready:\n{}\n{yaml}", self.stderr());
            }
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.pids().into_iter().filter(|pid| *pid != self.child.id()) {
            kill(pid, "KILL");
        }
        if std::thread::panicking() {
            eprintln!("--- stderr of the gateway\n{}\n--- its log\n{}", self.stderr(), self.stdout());
        }
    }
}

/// Sends a signal to a process of ours. `false`: there is none.
pub fn kill(pid: u32, name: &str) -> bool {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    status.expect("kill(1) exists").success()
}

/// Whether a process runs: it exists and is not a zombie.
pub fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> io::Result<Response> {
        let mut client = Client::try_connect(admin)?;
        client.send_request("GET", "/readyz", &[("Host", "localhost")], b"")?;
        client.try_read_response(false)
    };
    ask().is_ok_and(|answer| answer.status == 200)
}

/// The text of `/metrics`, with questions.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of every series of `name` that has all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name)
            .filter(|(written, _)| labels.iter().all(|(key, value)| written.contains(&format!("{key}=\"{value}\""))))
            .map(|(_, value)| value)
            .sum()
    }

    /// Whether any series is called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.series(name).next().is_some()
    }

    /// The labels and the value of every series called `name`.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter(|line| !line.starts_with('#')).filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
        })
    }
}
