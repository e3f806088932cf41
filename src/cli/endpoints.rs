//! `portcullis endpoints`: which endpoints a running gateway has, and taking one out of service and back.

use clap::{Args, ValueEnum};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::Client;
use super::output::{Printer, Status};
use super::runtime::RuntimeArgs;
use super::status::{inline, lines};

#[derive(Debug, Args)]
pub struct EndpointsArgs {
    /// Only those of this upstream.
    pub upstream: Option<String>,
    /// The endpoint that is meant, as the list shows it.
    #[arg(requires = "action")]
    pub endpoint: Option<String>,
    /// What becomes of it.
    #[arg(value_enum)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// It gets no new requests.
    Drain,
    /// It gets requests again.
    Restore,
}

impl EndpointsArgs {
    fn request(&self) -> (Method, String) {
        let (Some(upstream), Some(endpoint), Some(action)) = (&self.upstream, &self.endpoint, self.action) else {
            return (Method::GET, "/upstreams".to_owned());
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let verb = match action {
            Action::Drain => "drain",
            Action::Restore => "restore",
        };
        (Method::POST, format!("/upstreams/{}/endpoints/{}/{verb}", encoded(upstream), encoded(endpoint)))
    }
}

pub fn endpoints(args: &EndpointsArgs, printer: &mut Printer) -> Status {
    let (method, path) = args.request();
    let lists = method == Method::GET;
    let mut reply = match Client::new(&args.runtime).and_then(|client| client.ask(method, &path)) {
        Ok(reply) => reply,
        Err(error) => {
            printer.words(format_args!("portcullis: {error}"));
            return Status::Unavailable;
        }
    };
    let succeeded = reply.ends() == Status::Success;
    if let (Some(upstream), true, true) = (&args.upstream, lists, succeeded)
        && !keep(&mut reply.body, upstream)
    {
        printer.words(format_args!("portcullis: there is no upstream `{upstream}`"));
        return Status::Failure;
    }
    if args.json {
        reply.print_json(printer);
        return reply.ends();
    }
    reply.print_words(printer);
    if succeeded && lists {
        printer.data(table(&reply.body));
    } else if succeeded {
        printer.data(lines(&reply.body, 0));
    }
    reply.ends()
}

/// Leaves only `upstream` in the answer. `false`: it is not there.
fn keep(body: &mut Value, upstream: &str) -> bool {
    let Some(upstreams) = body["upstreams"].as_array_mut() else { return false };
    upstreams.retain(|each| each["name"] == upstream);
    !upstreams.is_empty()
}

/// A line for each endpoint: its upstream, and every field that the gateway gives.
fn table(body: &Value) -> String {
    let mut text = String::new();
    for upstream in body["upstreams"].as_array().into_iter().flatten() {
        let name = inline(&upstream["name"]).unwrap_or_default();
        for endpoint in upstream["endpoints"].as_array().into_iter().flatten() {
            text.push_str(&name);
            for (field, value) in endpoint.as_object().into_iter().flatten() {
                let value = inline(value).unwrap_or_else(|| value.to_string());
                // What it is called says itself.
                let separator = if matches!(field.as_str(), "endpoint" | "name") { " " } else { &format!(" {field}=") };
                text.push_str(separator);
                text.push_str(&value);
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_endpoint_has_a_line_with_its_upstream() {
        let mut body = json!({ "upstreams": [
            { "name": "a", "endpoints": [{ "name": "h:1", "healthy": true }, { "name": "h:2", "healthy": false }] },
            { "name": "b", "endpoints": [{ "name": "h:3" }] },
        ] });
        assert_eq!(table(&body), "a h:1 healthy=true\na h:2 healthy=false\nb h:3\n");
        assert!(keep(&mut body, "b"));
        assert_eq!(table(&body), "b h:3\n");
        assert!(!keep(&mut body, "a"));
    }

    #[test]
    fn an_endpoint_is_one_segment_of_the_path() {
        let args = EndpointsArgs {
            upstream: Some("a/b".into()),
            endpoint: Some("[::1]:80".into()),
            action: Some(Action::Drain),
            runtime: RuntimeArgs { folder: None },
            json: false,
        };
        let (method, path) = args.request();
        assert_eq!((method, path.as_str()), (Method::POST, "/upstreams/a%2Fb/endpoints/%5B%3A%3A1%5D%3A80/drain"));
    }
}
