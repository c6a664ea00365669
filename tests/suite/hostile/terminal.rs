//! Decides that nothing which a repository is called reaches a terminal but as text.
//! Must never look at what only programs read.

use crate::support::{engine::native, project::Project};

/// It clears the screen, begins an older kind of escape, turns the order of letters, and hides.
const EVIL: &str = "a\u{1b}[2J\u{9b}\u{202e}\u{2066}\u{200b}\u{61c}b";

fn is_text(run: &crate::support::project::Outcome) {
    let told = format!("{}{}", run.out, run.err);
    for c in told.chars() {
        let hides = c.is_control() && c != '\n' || EVIL.contains(c) && !c.is_ascii();
        assert!(!hides, "{c:?} in {told:?}");
    }
    assert!(told.contains("202e"), "it is told: {told}");
}

#[tokio::test]
async fn names_of_files_cannot_move_a_cursor_or_turn_letters() {
    let project = Project::plain("evil");
    std::fs::create_dir(project.path(EVIL)).unwrap();
    project.write(&format!("{EVIL}/Containerfile"), "FROM scratch\n");
    let quoted = "a\\u001b[2J\\u009b\\u202e\\u2066\\u200b\\u061cb";
    let (image, platform) = (project.image(), native());
    let toml = |keys: &str| {
        let text = format!("[[image]]\nname = \"{image}\"\nplatforms = [\"{platform}\"]\n{keys}\n");
        project.write("rpub.toml", &text);
    };
    toml(&format!("containerfile = \"{quoted}/Containerfile\""));
    for args in [
        &["plan", "v1.2.3"][..],
        &["plan", "v1.2.3", "--format", "json"],
        &["plan", "v1.2.3", "--config", EVIL],
        &["plan", EVIL],
        &["plan", "v1.2.3", "--format", EVIL],
    ] {
        is_text(&project.run(args).await);
    }
    // An error that names a path: the ignore file of a context.
    project.write(&format!("{EVIL}/.containerignore"), "[\n");
    toml(&format!("context = \"{quoted}\""));
    let run = project.run(&["build", "v1.2.3"]).await;
    assert_eq!(run.code, Some(3), "{}", run.err);
    is_text(&run);
    // Mistakes in rpub.toml, of which all but the first are lines below the first.
    toml(&format!(
        "context = \"{quoted}x\"\ncontainerfile = \"{quoted}y\"\n\"{quoted}\" = 1"
    ));
    is_text(&project.run(&["plan", "v1.2.3"]).await);
    is_text(&project.run(&["doctor"]).await);
}
