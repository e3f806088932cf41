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
        let mut yaml = yaml.to_owned();
        let has = |yaml: &str, key: &str| yaml.lines().any(|line| line.starts_with(key));
        let mut add = |key: &str, line: &str| {
            if !has(&yaml, key) {
                yaml = format!("{line}\n{yaml}");
            }
        };
        add("admin:", "admin: { address: \"<admin>\" }");
        add("listeners:", "listeners: [{ name: main, address: \"<listen>\" }]");
        add("version:", "version: 1");
        let (address, admin) = (free_address(), free_address());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let values = vec![
            ("listen".to_owned(), address.to_string()),
            ("admin".to_owned(), admin.to_string()),
            ("dir".to_owned(), dir.path().display().to_string()),
        ];
        Setup { yaml, values, variables: Vec::new(), dir, address, admin, existing: None, ulimit: None }
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
        if !self.yaml.lines().any(|line| line.starts_with("upstreams:")) {
            self.yaml.push_str("\nupstreams: { origin: { endpoints: [\"<origin>\"] } }\n");
        }
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
            .stdout(File::create(&stdout).expect("a writable temporary folder"))
            .stderr(File::create(&stderr).expect("a writable temporary folder"))
            .spawn()
            .expect("the binary starts");
        let mut gateway =
            Gateway { child, dir: self.dir, file, stdout, stderr, address: self.address, admin: self.admin };
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

    /// The configuration file with every value in its place.
    pub fn write(&self) -> PathBuf {
        if let Some(file) = &self.existing {
            return file.clone();
        }
        let mut yaml = self.yaml.clone();
        for (name, value) in &self.values {
            yaml = yaml.replace(&format!("<{name}>"), value);
        }
        let file = self.dir.path().join("portcullis.yaml");
        fs::write(&file, yaml).expect("a writable temporary folder");
        file
    }

    fn command(&self) -> Command {
        let mut command = match &self.ulimit {
            None => Command::new(BINARY),
            Some(arguments) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit {arguments} && exec \"$0\" \"$@\""), BINARY]);
                shell
            }
        };
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null());
        command
    }
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
        let answer = client::get(self.admin, "/metrics");
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
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill(1) exists").success(), "cannot send SIG{name}");
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
        if std::thread::panicking() {
            eprintln!("--- stderr of the gateway\n{}\n--- its log\n{}", self.stderr(), self.stdout());
        }
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> io::Result<Response> {
        let mut client = Client::try_connect(admin)?;
        client.send_request("GET", "/readyz", &[], b"")?;
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
