//! What the unit and the containers leave the gateway: no root, no capability but one, no writable file but its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::unistd::Uid;
use serde_json::Value;

use super::{read, root, yaml};
use crate::support::gateway::{BINARY, kill, output_in_time};
use crate::support::{OwnChild, Setup, client, wait};

/// `SETTING=VALUE` of the unit.
const SETTINGS: [&str; 19] = [
    "User=portcullis",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    "RuntimeDirectoryMode=0700",
    "LimitCORE=0",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectProc=invisible",
    "ProtectKernelModules=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    "SystemCallErrorNumber=EPERM",
];

/// The most that `systemd-analyze security` may find exposed, in tenths: what `deploy/README.md` says.
const EXPOSURE: &str = "--threshold=17";

#[test]
fn the_unit_leaves_the_gateway_its_folders_and_its_ports() {
    let unit = read("deploy/systemd/portcullis.service");
    for setting in SETTINGS {
        assert!(unit.lines().any(|line| line == setting), "no {setting}");
    }
    let file = root().join("deploy/systemd/portcullis.service");
    let analyzed = Command::new("systemd-analyze").args(["security", "--offline=true", EXPOSURE]).arg(file).output();
    let Ok(output) = analyzed else {
        eprintln!("not tested, because systemd-analyze is not installed: how exposed the unit is");
        return;
    };
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stderr));
    let Some(line) = words.lines().find(|line| line.contains("Overall exposure level")) else {
        eprintln!("not tested, because this systemd-analyze reads no file of a unit: how exposed the unit is");
        return;
    };
    let level = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    assert!(read("deploy/README.md").contains(&format!("rates that {level} (")), "{line}");
}

#[test]
fn the_unit_shows_a_credential_as_the_notes_use_it() {
    let unit = read("deploy/systemd/portcullis.service");
    let shown = unit.lines().find_map(|line| line.strip_prefix("#LoadCredential=")).expect("an example");
    let notes = read("deploy/README.md");
    let (name, _) = shown.split_once(':').expect("NAME:PATH");
    assert!(notes.contains(&format!("\nLoadCredential={shown}\n")), "{shown}");
    assert!(notes.contains(&format!("{{ credential: {name} }}")), "{name}");
}

#[test]
fn containers_have_no_root_no_capability_and_one_writable_folder() {
    let image = read("deploy/container/Dockerfile");
    assert!(image.contains("\nUSER 65532:65532\n") && image.contains("\nENV XDG_RUNTIME_DIR=/tmp\n"));

    let gateway = &yaml("deploy/container/compose.yaml")["services"]["gateway"];
    assert_eq!(gateway["read_only"], true);
    assert_eq!(gateway["cap_drop"], serde_json::json!(["ALL"]));
    assert_eq!(gateway["security_opt"], serde_json::json!(["no-new-privileges:true"]));
    let folders: Vec<&str> = strings(&gateway["tmpfs"]).collect();
    assert!(matches!(folders.as_slice(), [one] if one.starts_with("/tmp:")), "{folders:?}");
    assert!(strings(&gateway["volumes"]).all(|volume| volume.ends_with(":ro")));

    let pod = &yaml("deploy/kubernetes/deployment.yaml")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
    let writable: Vec<&Value> = mounts.filter(|mount| mount["readOnly"] != true).collect();
    assert!(matches!(writable.as_slice(), [one] if one["mountPath"] == "/tmp" && one["name"] == "tmp"), "{writable:?}");
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text"))
}

/// What `docker run --read-only --tmpfs /tmp --cap-drop ALL --user 65532` makes of the file system and the process, with the folder of
/// the test in the place of `/tmp`.
const CONTAINED: &str = r#"
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777,size=16m tmpfs "$1"
if touch "$3" 2>/dev/null; then echo "the root is writable" >&2; exit 1; fi
exec env XDG_RUNTIME_DIR="$1" setpriv --reuid=65532 --regid=65532 --clear-groups --bounding-set=-all --no-new-privs "$2" run "$3"
"#;

#[test]
fn a_read_only_root_suffices_with_one_small_folder() {
    let claim = "a gateway serves and takes orders on a read-only root";
    let allowed = Uid::effective().is_root()
        && Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|output| output.status.success());
    if !allowed {
        eprintln!("not tested, because only root makes a mount namespace, and not in every container: {claim}");
        return;
    }
    let setup = Setup::new("routes: [{ name: all, access: public, respond: { body: ok } }]\n");
    let (file, binary, tmp) = (setup.write(), setup.dir().join("portcullis"), setup.dir().join("tmp"));
    fs::create_dir(&tmp).expect("a writable temporary folder");
    // The user of the container may not be able to reach the binary where it was built.
    fs::copy(BINARY, &binary).expect("a copy");
    fs::set_permissions(setup.dir(), Permissions::from_mode(0o755)).expect("a folder of ours");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("a file of ours");
    let mut contained = Command::new("unshare");
    contained.args(["--mount", "--propagation=private", "sh", "-ec", CONTAINED, "sh"]).args([&tmp, &binary, &file]);
    contained.env_remove("PORTCULLIS_RUNTIME").env_remove("RUNTIME_DIRECTORY");
    let mut child = OwnChild(contained.stdout(Stdio::null()).spawn().expect("unshare(1), of util-linux"));
    wait::until_true("the gateway to be ready", || {
        assert_eq!(child.0.try_wait().expect("a child of ours"), None);
        std::net::TcpStream::connect(setup.admin()).is_ok()
            && client::get_by_address(setup.admin(), "/readyz").status == 200
    });
    client::get(setup.address(), "/").expect_status(200);
    // As `docker exec` does it.
    let pid = child.0.id().to_string();
    let order = |command: &str| {
        let mut inside = Command::new("nsenter");
        inside.args(["--mount", "--target", &pid, "env"]).arg(format!("XDG_RUNTIME_DIR={}", tmp.display()));
        inside.args(["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]).arg(&binary).arg(command);
        output_in_time(inside.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nsenter(1), of util-linux"))
    };
    for command in ["status", "reload"] {
        let output = order(command);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(kill(child.0.id(), "TERM"));
    wait::until("the process to end", || child.0.try_wait().expect("a child of ours"));
}
