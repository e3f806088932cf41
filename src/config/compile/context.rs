//! What every check needs: the world, and a place to report to.

use std::io;
use std::time::SystemTime;

use http::HeaderName;

use crate::config::doc_path::DocPath;
use crate::config::environment::Environment;
use crate::config::load::SourceMap;
use crate::config::raw::key_file::KeyFile;
use crate::config::raw::shape::SecretSource;
use crate::config::shown;
use crate::decision::request::fields::{FieldName, FieldNames};
use crate::diagnostics::{Diagnostic, Place, Severity};
use crate::secret::Secret;

/// The variable by which systemd says where the credentials of a service are (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Collects diagnostics and gives access to the world.
pub struct CompileContext<'a> {
    places: &'a SourceMap,
    environment: &'a dyn Environment,
    /// Paths, as written, that the document lacks because of mistakes which are reported already.
    lacking: &'a [String],
    diagnostics: Vec<Diagnostic>,
    fields: FieldNames,
}

impl<'a> CompileContext<'a> {
    /// Nothing is reported yet; `places` tell where things stand in the files.
    pub fn new(places: &'a SourceMap, environment: &'a dyn Environment) -> Self {
        CompileContext { places, environment, lacking: &[], diagnostics: Vec::new(), fields: FieldNames::default() }
    }

    /// The document lacks the values at these paths, as written, because of mistakes which are reported already.
    pub fn without(self, lacking: &'a [String]) -> Self {
        CompileContext { lacking, ..self }
    }

    /// Whether the thing called `name` in `section` is lacking because of a mistake, so that nobody reports its absence.
    pub fn lacks(&self, section: &str, name: &str) -> bool {
        let named = |path: &String| path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) == Some(name);
        self.lacking.iter().any(|path| path == section || named(path))
    }

    /// A name that requests will be asked for.
    pub fn field(&mut self, name: HeaderName) -> FieldName {
        self.fields.add(name)
    }

    /// Every name that requests will be asked for.
    pub fn field_names(&self) -> FieldNames {
        self.fields.clone()
    }

    /// Reports a mistake that refuses the configuration.
    pub fn error(&mut self, path: &DocPath, code: &'static str, message: impl Into<String>) {
        self.report(Severity::Error, path, code, message.into(), None);
    }

    /// Like [`CompileContext::error`], with what to write instead.
    pub fn error_with_help(
        &mut self,
        path: &DocPath,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(Severity::Error, path, code, message.into(), Some(help.into()));
    }

    /// Reports something that works and deserves a second look.
    pub fn warning(&mut self, path: &DocPath, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, path, code, message.into(), Some(help.into()));
    }

    fn report(
        &mut self,
        severity: Severity,
        path: &DocPath,
        code: &'static str,
        message: String,
        help: Option<String>,
    ) {
        let place = self.places.find(&path.0);
        let path = self.places.as_written(&path.0).into_owned();
        self.diagnostics.push(Diagnostic { code, severity, place, path, message, help });
    }

    /// Reports what stands at `place` in a file that the configuration names at `path`.
    pub fn report_at(
        &mut self,
        severity: Severity,
        place: Place,
        path: &DocPath,
        code: &'static str,
        message: String,
        help: String,
    ) {
        let path = self.places.as_written(&path.0).into_owned();
        self.diagnostics.push(Diagnostic { code, severity, place, path, message, help: Some(help) });
    }

    /// Reports what was found in a file that the configuration names at `path`, each at its place there.
    pub fn report_found(&mut self, path: &DocPath, found: Vec<Diagnostic>) {
        let path = self.places.as_written(&path.0).into_owned();
        self.diagnostics.extend(found.into_iter().map(|found| Diagnostic { path: path.clone(), ..found }));
    }

    /// Where `path` stands in the files; the nearest parent's place when `path` itself was not written.
    pub fn place(&self, path: &DocPath) -> Place {
        self.places.find(&path.0)
    }

    /// The time of compiling.
    pub fn now(&self) -> SystemTime {
        self.environment.now()
    }

    /// Whether this machine has the user.
    pub fn knows_user(&self, name: &str) -> bool {
        self.environment.knows_user(name)
    }

    /// Whether this machine has the group.
    pub fn knows_group(&self, name: &str) -> bool {
        self.environment.knows_group(name)
    }

    /// Whether a file or a folder stands at `path`.
    pub fn has_mode(&self, path: &str) -> bool {
        self.environment.mode(path).is_some()
    }

    /// The content of a file that the configuration names, or a diagnostic at `path`. That everyone can write to it is a warning.
    pub fn read_file(&mut self, path: &DocPath, file: &str) -> Option<Vec<u8>> {
        let content = self.environment.read(file);
        let content = self.readable(path, shown::file(file), content)?;
        self.check_writable(path, file, "file_writable", "");
        Some(content)
    }

    /// Like [`CompileContext::read_file`] for a file whose changes take effect by themselves, see [`Environment::read_watched`].
    pub fn read_watched_file(&mut self, path: &DocPath, file: &str) -> Option<Vec<u8>> {
        let content = self.environment.read_watched(file);
        let content = self.readable(path, shown::file(file), content)?;
        self.check_writable(path, file, "file_writable", ", and what it says takes effect at once");
        Some(content)
    }

    /// Like [`CompileContext::read_file`] for what decides who comes in, such as hashes of keys or an issuer's public key: it may be
    /// read, but if everyone can write to it, everyone can let themselves in.
    pub fn read_trusted_file(&mut self, path: &DocPath, file: &str) -> Option<Vec<u8>> {
        let content = self.environment.read(file);
        let content = self.readable(path, shown::key_file(file), content)?;
        self.check_writable(path, file, "key_writable", ", and so let themselves in");
        Some(content)
    }

    /// The content, or a diagnostic; without the file's name, where what is written in its place may be a secret.
    fn readable(&mut self, path: &DocPath, file: Option<&str>, content: io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        let report = |error| match file {
            Some(file) => self.error(path, "file_unreadable", format!("cannot read `{file}`: {error}")),
            None => self.error_with_help(
                path,
                "file_unreadable",
                format!("cannot read the file: {error}; its name is not shown, since it may be the secret itself"),
                "write the path of a file that holds it",
            ),
        };
        content.map_err(report).ok()
    }

    /// Warns of `file` if everyone can write to it, which has these `consequences`.
    fn check_writable(&mut self, path: &DocPath, file: &str, code: &'static str, consequences: &str) {
        if let Some(mode) = self.environment.mode(file).filter(|mode| mode & 0o002 != 0) {
            let message = format!("every user of this machine can change `{file}` (mode {mode:03o}){consequences}");
            self.warning(path, code, message, format!("`chmod o-w {file}`"));
        }
    }

    /// Like [`CompileContext::read_file`] for a private key: others who can read it, or put their own in its place, are a warning. A
    /// group that may read is a common way to share a key with a service, and is not.
    pub fn read_key_file(&mut self, path: &DocPath, file: &KeyFile) -> Option<Secret<Vec<u8>>> {
        match file {
            KeyFile::Path(file) => self.read_private_file(path, file, shown::key_file(file)),
            KeyFile::Credential(name) => self.read_credential(&path.key("credential"), name),
        }
    }

    fn read_private_file(&mut self, path: &DocPath, file: &str, shown: Option<&str>) -> Option<Secret<Vec<u8>>> {
        let content = self.environment.read(file);
        let content = Secret::new(self.readable(path, shown, content)?);
        let mode = self.environment.mode(file).unwrap_or(0);
        let (read, write) = (mode & 0o004 != 0, mode & 0o022 != 0);
        if read || write {
            let whom = if read { "every user of this machine can read" } else { "others than its owner can change" };
            let help = format!("`chmod 600 {file}`; for a volume of Kubernetes set `defaultMode: 0400`");
            self.warning(path, "key_readable", format!("{whom} the secret in `{file}` (mode {mode:03o})"), help);
        }
        Some(content)
    }

    /// The credential `name` of the service manager (systemd.exec(5), `LoadCredential=`), or a diagnostic at `path`. Its name is not
    /// shown: it may be the secret itself, written in the wrong field.
    fn read_credential(&mut self, path: &DocPath, name: &str) -> Option<Secret<Vec<u8>>> {
        let help = "write the name that `LoadCredential=` or `SetCredential=` gives it in the unit of the service";
        // As systemd's own check of the name (credential_name_valid).
        let is_name = !name.is_empty() && name.len() <= 255 && !matches!(name, "." | "..");
        if !is_name || name.contains(|letter: char| letter == '/' || letter.is_control()) {
            self.error_with_help(path, "invalid_credential", "this can't be the name of a credential", help);
            return None;
        }
        let Some(folder) = self.environment.variable(CREDENTIALS).filter(|folder| !folder.is_empty()) else {
            let message = format!("no credentials were passed to this process: `{CREDENTIALS}` is not set");
            self.error_with_help(path, "credential_unreadable", message, help);
            return None;
        };
        let file = format!("{}/{name}", folder.trim_end_matches('/'));
        match self.environment.read(&file) {
            Ok(content) => Some(Secret::new(content)),
            Err(error) => {
                let message = format!("cannot read the credential in `{folder}`: {error}");
                self.error_with_help(path, "credential_unreadable", message, help);
                None
            }
        }
    }

    /// The secret that `source` points to, without a trailing line feed, or a diagnostic at `path`.
    pub fn read_secret(&mut self, path: &DocPath, source: &SecretSource) -> Option<Secret<Vec<u8>>> {
        match source {
            SecretSource::Env(name) => match self.environment.variable(name) {
                Some(value) => Some(Secret::new(value.into_bytes())),
                None => {
                    let path = path.key("env");
                    match shown::variable(name) {
                        Some(name) => {
                            let message = format!("the environment variable `{name}` is not set");
                            self.error(&path, "variable_unset", message);
                        }
                        None => self.error_with_help(
                            &path,
                            "variable_unset",
                            "the environment variable is not set; its name is not shown, since it may be the secret itself",
                            "write the name of a variable that holds the secret, such as `{env: APP_SECRET}`",
                        ),
                    }
                    None
                }
            },
            SecretSource::File(file) => {
                let path = path.key("file");
                let content = self.read_private_file(&path, file, shown::secret_file(file))?;
                Some(content.without_line_feeds())
            }
            SecretSource::Credential(name) => {
                let content = self.read_credential(&path.key("credential"), name)?;
                Some(content.without_line_feeds())
            }
        }
    }

    /// How many mistakes that refuse the configuration were reported so far.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Ends the collection.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }
}
