//! Decides when podman builds from the folder itself instead of from an archive of it, and by which of its two ways.
//! Must never let podman read a folder of which it sees something else than rpub.

use super::context::{Context, Trouble};
use super::known::at_least;
use super::left_out::RESERVED;
use super::own_build::{Files, OwnBuild};
use super::request::BuildRequest;
use super::service::Service;
use super::{Engine, engine_error};
use crate::error::Result;
use reqwest::{Body, Method, RequestBuilder};
use std::path::Path;
use tempfile::TempPath;

/// How podman is told to build.
pub(super) enum Order {
    /// By a call of the service.
    Call(Box<RequestBuilder>),
    /// By a process of its own, which has begun.
    Own(Box<OwnBuild>),
}

/// What a build rests on as long as it runs.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// Why packing an archive stopped, once it has.
    pub(super) trouble: Trouble,
    /// The Containerfile beside a folder; it goes with this.
    _containerfile: Option<TempPath>,
}

impl Engine {
    /// Orders a build from a Containerfile with this text: from the folder itself where podman can be of this machine only,
    /// since another's socket leads anywhere. A service builds from folders from 5.7 on; before, podman does on its own.
    pub(super) fn order(
        &self,
        request: &BuildRequest,
        context: Context,
        containerfile: &str,
    ) -> Result<(Order, Handed)> {
        let service = self.service.as_ref();
        let service = service.filter(|service| service.sees(context.root()));
        let left_out = context.left_out();
        if let (Some(service), Some(left_out)) = (service, left_out) {
            let root = context.root();
            if at_least(self.version(), (5, 7)) {
                return self.folder_call(service, request, root, containerfile, left_out);
            }
            let files = Files {
                containerfile,
                left_out,
            };
            let begun = OwnBuild::start(service, self.version(), request, root, &files);
            let begun = begun.map_err(|error| {
                engine_error(
                    format!("podman cannot be started: {error}"),
                    "podman build",
                    "run `podman info` as this user to see why",
                )
            })?;
            return Ok((Order::Own(Box::new(begun)), Handed::default()));
        }
        let (body, trouble) = context.stream(containerfile.to_owned());
        let call = self.call(&["build"], RESERVED, &[RESERVED.to_owned()], request)?;
        let call = call
            .header("Content-Type", "application/x-tar")
            .body(Body::wrap_stream(body));
        let handed = Handed {
            trouble,
            ..Handed::default()
        };
        Ok((Order::Call(Box::new(call)), handed))
    }

    fn folder_call(
        &self,
        service: &Service,
        request: &BuildRequest,
        root: &Path,
        containerfile: &str,
        left_out: &[String],
    ) -> Result<(Order, Handed)> {
        let write = || {
            let file = tempfile::NamedTempFile::new_in(service.folder())?;
            std::fs::write(file.path(), containerfile)?;
            Ok(file.into_temp_path())
        };
        let file = write().map_err(|error: std::io::Error| {
            let place = service.folder().display().to_string();
            let hint = "see whether that folder can be written to and has room";
            engine_error(
                format!("cannot write the Containerfile: {error}"),
                place,
                hint,
            )
        })?;
        let name = file.display().to_string();
        let call = self.call(&["local", "build"], &name, left_out, request)?;
        let call = call.query(&[("localcontextdir", root.display().to_string())]);
        let handed = Handed {
            _containerfile: Some(file),
            ..Handed::default()
        };
        Ok((Order::Call(Box::new(call)), handed))
    }

    /// A build call; the Containerfile by podman's name for it.
    fn call(
        &self,
        path: &[&str],
        containerfile: &str,
        left_out: &[String],
        request: &BuildRequest,
    ) -> Result<RequestBuilder> {
        let call = self.libpod.request(Method::POST, path);
        let call = call.query(&[
            ("dockerfile", containerfile),
            ("excludes", &serde_json::json!(left_out).to_string()),
        ]);
        let call = call.query(&request.query(self.version()));
        match request.usable_cache() {
            // Nobody else is asked in such a build, so nobody else is shown it.
            Some(cache) => Ok(call.header("X-Registry-Auth", cache.login().header()?)),
            None => Ok(call),
        }
    }
}
