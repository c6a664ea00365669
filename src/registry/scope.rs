//! Decides what a token must permit for a request, and whether a challenge asks for more than that.
//! Must never ask for more than the request needs.

use crate::model::reference::RepositoryName;

/// Whether a challenge's scope asks for something that ours do not have and that may be meant: GHCR's challenges can name
/// a repository that is none (`repository:user/image:pull`), and a token for that would be refused.
pub(super) fn adds(scopes: &[String], wanted: &str) -> bool {
    let Some((resource, actions)) = wanted.rsplit_once(':') else {
        return false;
    };
    let own = scopes
        .iter()
        .filter_map(|scope| scope.rsplit_once(':'))
        .find(|(own, _)| *own == resource);
    match own {
        Some((_, own)) => actions
            .split(',')
            .any(|action| !own.split(',').any(|own| own == action)),
        None => !resource.starts_with("repository:"),
    }
}

/// What a request does to its repository; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

/// What a token must permit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) name: RepositoryName,
    pub(super) access: Access,
    /// Another repository that a blob is taken over from.
    pub(super) from: Option<RepositoryName>,
}

impl Scope {
    /// As a token service is asked for it.
    pub(super) fn texts(&self) -> Vec<String> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,push,delete",
        };
        let mut texts = vec![format!("repository:{}:{actions}", self.name)];
        texts.extend(
            self.from
                .iter()
                .map(|from| format!("repository:{from}:pull")),
        );
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_adds_only_what_is_missing_and_meant() {
        let own = ["repository:o/n:pull,push".to_owned()];
        for (wanted, expected) in [
            ("repository:o/n:pull,push", false),
            ("repository:o/n:pull", false),
            ("repository:o/n:push,pull", false),
            ("repository:o/n:pull,delete", true),
            ("repository:user/image:pull", false),
            ("registry:catalog:*", true),
            ("nonsense", false),
        ] {
            assert_eq!(adds(&own, wanted), expected, "{wanted}");
        }
    }
}
