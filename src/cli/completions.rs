//! Decides the arguments of `rpub completions`.
//! Must never write into a shell's folders itself.

use crate::ui::Answer;
use clap::CommandFactory as _;

/// Print the script that completes rpub's words in a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub completions bash > ~/.local/share/bash-completion/completions/rpub\n  \
rpub completions zsh > ~/.zfunc/_rpub\n  rpub completions fish > ~/.config/fish/completions/rpub.fish\n\n\
The shell reads it when it starts the next time. For zsh, ~/.zshrc must have: fpath+=~/.zfunc; autoload -U compinit; compinit"
)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Args {
    pub(super) fn run(&self) -> Answer {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "rpub", &mut script);
        // clap's names and rpub's own help, all of it UTF-8.
        Answer::Text(String::from_utf8_lossy(&script).into_owned())
    }
}
