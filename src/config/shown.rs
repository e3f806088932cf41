//! What may be shown of the place of a secret: a name or a path that does not look like one may be the secret itself, written
//! in the wrong field.

/// Longest name of a variable that is shown.
const MAX_NAME: usize = 64;
/// Longest path that is shown: no path is longer (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// Longest part of a path to a secret that is shown.
const MAX_SEGMENT: usize = 48;
/// How the names of files with keys end.
const KEY_ENDINGS: [&str; 10] = ["crt", "json", "jwk", "jwks", "key", "pem", "pub", "secret", "yaml", "yml"];

/// The variable `name`, if it is written as variables are: upper-case letters and `_`, and digits only behind a `_` somewhere.
pub fn variable(name: &str) -> Option<&str> {
    let plain = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let like_a_name = name.contains('_') || !name.bytes().any(|byte| byte.is_ascii_digit());
    (plain && like_a_name && (1..=MAX_NAME).contains(&name.len())).then_some(name)
}

/// The `file` that holds a secret, if it is written as a path that says where it begins: `/…`, `./…` or `../…`.
pub fn secret_file(file: &str) -> Option<&str> {
    let begun = ["/", "./", "../"].iter().any(|begin| file.starts_with(begin));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    let segments = |file: &str| file.split('/').all(|part| part.len() <= MAX_SEGMENT && part.bytes().all(plain));
    (begun && segments(file) && file.len() <= MAX_PATH).then_some(file)
}

/// The `file` of a key, if it is written as [`secret_file`] says, or ends as the names of such files do. A key that is text, such as base64,
/// does neither.
pub fn key_file(file: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    let segments = || file.split('/').all(|part| part.len() <= MAX_SEGMENT && part.bytes().all(plain));
    let ending = file.rsplit_once('.').map(|(_, ending)| ending);
    let named = ending.is_some_and(|ending| KEY_ENDINGS.contains(&ending));
    secret_file(file).or_else(|| (named && segments() && file.len() <= MAX_PATH).then_some(file))
}

/// The `file`, unless it is the content of a file: PEM or JSON.
pub fn file(file: &str) -> Option<&str> {
    let content = file.contains("-----") || file.starts_with(['{', '[']) || file.contains(char::is_control);
    (!content && file.len() <= MAX_PATH).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_shown_and_what_may_be_a_secret_is_not() {
        for name in ["ADMIN_TOKEN", "KEY", "KEY_2", "_X"] {
            assert_eq!(variable(name), Some(name));
        }
        for secret in ["", "hunter2", "Admin_Token", "JBSWY3DPEHPK3PXP", "A B", &"A".repeat(65)] {
            assert_eq!(variable(secret), None, "{secret}");
        }
        for path in ["/run/secrets/admin-token", "./key", "../conf/sticky.key"] {
            assert_eq!(secret_file(path), Some(path));
        }
        for secret in ["hunter2", "c2VjcmV0/c2VjcmV0", "/c2VjcmV0+x=", &format!("/{}", "a".repeat(49)), "/a b"] {
            assert_eq!(secret_file(secret), None, "{secret}");
        }
        for path in ["conf/tls/edge.key", "jwks.json", "/etc/portcullis/edge", "../keys.yaml"] {
            assert_eq!(key_file(path), Some(path));
        }
        for secret in ["hunter2", "c2VjcmV0/c2VjcmV0", "eyJhbGciOi.eyJzdWIi.c2ln", "a b.key", "-----BEGIN\n.pem"] {
            assert_eq!(key_file(secret), None, "{secret}");
        }
        for path in ["conf/tls/edge.key", "a b", "C=DE"] {
            assert_eq!(file(path), Some(path));
        }
        for content in ["-----BEGIN PRIVATE KEY-----", "{\"keys\":[]}", "a\nb", &"a".repeat(5000)] {
            assert_eq!(file(content), None, "{content}");
        }
    }
}
