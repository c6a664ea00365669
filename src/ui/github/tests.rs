//! Decides that outputs and summaries are as they were, whatever names, notes and lines they are made of.
//! Must never look at more than the text: what GitHub makes of it is GitHub's.

use super::*;
use crate::{
    error::Kind,
    model::{
        digest::Digest,
        pruned::{KeptManifest, Pruned},
        report::{BuiltDocument, PlatformReport, Published, Report, StageTime},
    },
};

fn image(name: &str, places: &[&str], tags: &[&str]) -> Published {
    let digest = Digest::of(name.as_bytes());
    let texts = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let at = |place: &&str| {
        let tags = tags.iter();
        tags.map(|tag| format!("{place}:{tag}")).collect::<Vec<_>>()
    };
    Published {
        name: name.to_owned(),
        digest,
        tags: texts(tags),
        repositories: texts(places),
        plain_http: Vec::new(),
        references: places.iter().flat_map(at).collect(),
        platforms: vec![PlatformReport {
            platform: "linux/amd64".parse().unwrap(),
            digest,
            size: 2_576_980,
            config: digest,
            layers: Vec::new(),
        }],
    }
}

fn report(images: Vec<Published>) -> Report {
    let stage = |(name, seconds): (&str, f64)| StageTime {
        name: name.to_owned(),
        seconds,
    };
    Report {
        schema: 1,
        git_ref: "refs/tags/v1.2.3".to_owned(),
        version: Some("1.2.3".to_owned()),
        revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        podman: Some("4.9.3".to_owned()),
        run: None,
        images,
        moves: Vec::new(),
        pruned: Vec::new(),
        stages: [("plan", 0.4), ("build", 41.0), ("push", 9.5)]
            .map(stage)
            .to_vec(),
    }
}

const PLACES: [&str; 2] = ["ghcr.io/o/app", "docker.io/o/app"];

fn shown(answer: &Answer) -> String {
    let (values, trouble) = outputs::outputs(answer);
    assert_eq!(trouble, Vec::<String>::new());
    let without_json = |(name, _): &&(String, String)| name != "json";
    let values: Vec<_> = values.iter().filter(without_json).cloned().collect();
    outputs::file(&values, "END")
}

#[test]
fn one_image_has_outputs_with_and_without_its_name() {
    let answer = Answer::Released(report(vec![image("app", &PLACES, &["1.2.3", "latest"])]));
    insta::assert_snapshot!(shown(&answer));
    let (values, _) = outputs::outputs(&answer);
    let (name, json) = values.last().unwrap();
    assert_eq!(name, "json");
    let whole: serde_json::Value = serde_json::from_str(&answer.json()).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(json).unwrap(),
        whole
    );
    assert!(!json.contains('\n'));
}

#[test]
fn several_images_have_outputs_by_name_only() {
    let images = vec![
        image("team/api.v2", &["ghcr.io/o/team/api.v2"], &["1.2.3"]),
        image("7zip", &["oci:./out/7zip"], &[]),
    ];
    insta::assert_snapshot!(shown(&Answer::Verified(report(images))));
}

#[test]
fn what_is_built_for_two_platforms_is_two_lines() {
    let built = |platform: &str| BuiltDocument {
        name: "app".to_owned(),
        platform: platform.to_owned(),
        id: "0".repeat(64),
        reference: format!("localhost/rpub/app:{}", platform.replace('/', "-")),
    };
    let answer = Answer::Built(vec![built("linux/amd64"), built("linux/arm64")]);
    insta::assert_snapshot!(shown(&answer));
}

#[test]
fn images_whose_output_names_are_the_same_get_none() {
    let two = ["a.b", "a-b"].map(|name| image(name, &["ghcr.io/o/x"], &["1"]));
    let (values, trouble) = outputs::outputs(&Answer::Released(report(two.to_vec())));
    assert_eq!(values.len(), 1, "the json");
    assert_eq!(trouble.len(), 2, "{trouble:?}");
}

#[test]
fn outputs_are_bounded() {
    let tags: Vec<String> = (0..3000)
        .map(|n| format!("{n}-{}", "x".repeat(100)))
        .collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let answer = Answer::Released(report(vec![image("app", &PLACES, &tags)]));
    let (values, trouble) = outputs::outputs(&answer);
    let bytes: usize = values.iter().map(|(n, v)| n.len() + v.len()).sum();
    assert!(bytes <= 512 * 1024, "{bytes}");
    assert!(values.iter().any(|(name, _)| name == "digest"));
    for name in ["json", "app-tags"] {
        let told = trouble.iter().any(|line| line.contains(name));
        assert!(told, "{name} in {trouble:?}");
    }
}

#[test]
fn a_value_cannot_become_another_output() {
    let values = [("a".to_owned(), "x\ndigest=evil\nEOF\n".to_owned())];
    assert_eq!(
        outputs::file(&values, "K"),
        "a<<K\nx\ndigest=evil\nEOF\n\nK\n"
    );
    let (one, other) = (delimiter().unwrap(), delimiter().unwrap());
    assert!(one != other && one.len() == 37, "{one}");
}

#[test]
fn the_summary_of_a_release_is_as_it_was() {
    let images = vec![
        image("app", &PLACES, &["1.2.3", "1.2"]),
        image("tool", &["oci:./my out/tool"], &["1.2.3"]),
    ];
    let notes = ["app: latest stays where it is: 2.0.0 is newer and published".to_owned()];
    let kept = |why: &str| KeptManifest {
        digest: Digest::of(b"old"),
        why: why.to_owned(),
    };
    let pruned = Pruned {
        kept: vec![kept("1.2.2 still points at it: kept")],
        ..Pruned::of(PLACES[0].to_owned())
    };
    let report = Report {
        pruned: vec![pruned],
        ..report(images)
    };
    let sections = summary::of_result(&Answer::Released(report), &notes);
    insta::assert_snapshot!(summary::bounded(&sections, 1 << 20));
}

#[test]
fn the_summary_of_a_failure_is_as_it_was() {
    let error = Error::new(
        Kind::Build,
        "the build for linux/amd64 failed: exit status 7",
        "Containerfile STEP 4/5: RUN a | b <c>",
        "mend that step",
    );
    let error = error.with_tail(vec!["```".to_owned(), "</details>::error::x".to_owned()]);
    let sections = summary::of_failure(&error, &["a <b> note".to_owned()]);
    insta::assert_snapshot!(summary::bounded(&sections, 1 << 20));
}

/// The lines of Markdown that mean something by how they begin, outside of fences.
#[test]
fn hostile_words_make_no_markdown() {
    let evil = "x|y\n# h\n| a |\n```\n<script>alert(1)</script>\n- [l](u) `c` @o\r![i](u)";
    let error = Error::new(Kind::Registry, evil, evil, evil).with_tail(vec![evil.to_owned()]);
    let hostile = report(vec![image(evil, &[evil], &[evil])]);
    for sections in [
        summary::of_failure(&error, &[evil.to_owned()]),
        summary::of_result(&Answer::Released(hostile), &[evil.to_owned()]),
    ] {
        let mut fence = String::new();
        for line in summary::bounded(&sections, 1 << 20).lines() {
            if line.starts_with("```") {
                let bar: String = line.chars().take_while(|c| *c == '`').collect();
                if fence.is_empty() {
                    fence = bar;
                } else if line == fence {
                    fence.clear();
                }
                continue;
            }
            if !fence.is_empty() {
                continue;
            }
            for forbidden in ["<script", "[l]", "`", "@o", "![", "x|y"] {
                assert!(!line.contains(forbidden), "{forbidden} in {line}");
            }
            assert!(!line.starts_with("# "), "{line}");
        }
        assert_eq!(fence, "", "every fence ends");
    }
}

#[test]
fn a_summary_ends_between_sections() {
    let sections = ["a".repeat(40), "b".repeat(100), "c".to_owned()];
    for room in 0..200 {
        let text = summary::bounded(&sections, room);
        assert!(text.len() <= room, "{room}: {text}");
        for section in &sections[..2] {
            let begins = &section[..1].repeat(2);
            assert_eq!(text.contains(begins), text.contains(section), "{room}");
        }
    }
    assert_eq!(summary::bounded(&sections, 1000).lines().count(), 3);
}

fn github() -> GitHub {
    GitHub::of(&|name| (name == "GITHUB_ACTIONS").then(|| "true".to_owned())).unwrap()
}

#[test]
fn only_githubs_own_word_counts() {
    for value in ["", "false", "1", "TRUE"] {
        assert!(GitHub::of(&|_| Some(value.to_owned())).is_none(), "{value}");
    }
    assert!(GitHub::of(&|_| None).is_none());
}

#[test]
fn stages_are_groups_and_warnings_annotations() {
    let github = github();
    let mut lines = Vec::new();
    for event in [
        Event::Warning("first\n::error::x".to_owned()),
        Event::Stage(Stage::Build),
        Event::Stage(Stage::Push),
        Event::Warning("100% lost".to_owned()),
        Event::Note("::error::x ##[error]y".to_owned()),
    ] {
        let plain = match &event {
            Event::Note(text) => text.clone(),
            _ => "elsewhere".to_owned(),
        };
        lines.extend(github.line(&event, Some(plain)));
    }
    lines.extend(github.end().map(str::to_owned));
    assert_eq!(github.end(), None);
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(github.heard().notes.len(), 3);
}
