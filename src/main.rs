//! Decides nothing: parse, tracing, cancellation, exit code.
//! Must never hold logic.

use rpub::{
    cli::{self, Cli, World},
    events::{Event, Events},
    pipeline::plan::Env,
    ui::{self, GitHub, Progress, Recorder, ReportFile},
};
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long blocking tasks may take to end once the answer is known.
const LAST_WORDS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let env: Arc<Env> = Arc::new(|name| std::env::var(name).ok());
    let github = GitHub::of(&*env).map(Arc::new);
    let words: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::read(&words) {
        Ok(cli) => cli,
        Err(error) => {
            match cli::about(&error, &words, &*env) {
                Some(about) => {
                    let style = ui::Style::new(0, false, ui::Color::Auto);
                    ui::print(&about, ui::Format::Human, style, None);
                }
                None => ui::print_words(&error, github.as_deref()),
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let style = cli.style();
    let log = ui::Log {
        github: github.is_some(),
    };
    let level = if style.verbosity > 1 { "debug" } else { "warn" };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(
            std::env::var("RPUB_LOG").unwrap_or_else(|_| format!("rpub={level}")),
        ))
        .with_writer(move || log)
        .with_ansi(style.color)
        .without_time()
        .init();
    let report = match cli.report().map(|path| ReportFile::check(path)).transpose() {
        Ok(report) => report,
        Err(error) => {
            ui::print_error(&error, style, github.as_deref());
            return ExitCode::from(error.kind.exit_code());
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = rpub::error::Error::new(
                rpub::error::Kind::Failed,
                format!("no threads to run on: {error}"),
                "this machine",
                "check the limit of processes: ulimit -u",
            );
            ui::print_error(&error, style, github.as_deref());
            return ExitCode::from(error.kind.exit_code());
        }
    };
    let code = runtime.block_on(async {
        let (events, receiver) = Events::channel();
        let (recorder, receiver) = Recorder::between(receiver);
        let progress = Progress::start(receiver, style, github.clone());
        let cancel = CancellationToken::new();
        let signals = tokio::spawn(stop_on_signals(cancel.clone(), events.clone()));
        let format = cli.format();
        let world = World {
            env,
            events,
            cancel,
        };
        let print = |answer: &ui::Answer| ui::print(answer, format, style, github.as_deref());
        // Boxed: the futures of all stages are as large as a page or two.
        let outcome = Box::pin(cli.run(world, print)).await;
        signals.abort();
        // Its sender goes with it, so that the progress can end.
        let _ = signals.await;
        progress.finish().await;
        let trace = recorder.finish().await;
        if let Some(report) = &report {
            ui::leave_report(report, &trace, outcome.as_ref(), style, github.as_deref());
        }
        match outcome {
            Ok(answer) => {
                print(&answer);
                let Some(error) = answer.incomplete() else {
                    return ExitCode::SUCCESS;
                };
                ui::print_error(&error, style, github.as_deref());
                ExitCode::from(error.kind.exit_code())
            }
            Err(error) => {
                ui::print_error(&error, style, github.as_deref());
                ExitCode::from(error.kind.exit_code())
            }
        }
    });
    runtime.shutdown_timeout(LAST_WORDS);
    code
}

/// The first SIGINT or SIGTERM asks everything to stop; the second ends the process at once.
async fn stop_on_signals(cancel: CancellationToken, events: Events) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        if !first {
            Progress::break_off();
            std::process::exit(rpub::error::Kind::Interrupted.exit_code().into());
        }
        events.send(Event::Note(
            "stopping; once more to stop at once".to_owned(),
        ));
        cancel.cancel();
    }
}
