//! Checks that links in the repository's documents refer to existing files.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Collects all Markdown files, except for build output and downloads.
    fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && !["target", ".git", "node_modules"].contains(&name.as_str()) {
                documents(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }

    /// Returns the targets of `[text](target)` that are not URLs.
    fn links(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            for part in line.split("](").skip(1) {
                let target = part.split(')').next().unwrap_or_default();
                let target = target.split('#').next().unwrap_or_default();
                if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                    found.push(target);
                }
            }
        }
        found
    }

    #[test]
    fn link_targets_are_found_outside_of_code() {
        let text = "[a](b.md) and [c](d/e.md#part), [f](https://example.org)\n```\n[g](h)\n```\n[i](#j)";
        assert_eq!(links(text), ["b.md", "d/e.md"]);
    }

    #[test]
    fn every_link_between_documents_leads_to_a_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut files = Vec::new();
        documents(root, &mut files);
        assert!(files.len() > 10, "{files:?}");
        let mut broken = Vec::new();
        for file in files {
            for link in links(&fs::read_to_string(&file).unwrap()) {
                if !file.parent().unwrap().join(link).exists() {
                    broken.push(format!("{}: {link}", file.display()));
                }
            }
        }
        assert_eq!(broken, [] as [String; 0]);
    }

    /// Placeholders are listed in one place, and do not occur in files that are not listed there.
    #[test]
    fn placeholder_files_are_all_named_on_their_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = fs::read_to_string(root.join("docs/placeholders.md")).unwrap();
        let mut files = Vec::new();
        documents(root, &mut files);
        for file in files {
            let name = file.strip_prefix(root).unwrap().display().to_string();
            if name == "docs/placeholders.md" {
                continue;
            }
            let has = fs::read_to_string(&file).unwrap().contains("REPOSITORY_URL");
            assert!(
                !has || page.contains(&name),
                "{name} has a placeholder that docs/placeholders.md does not name"
            );
        }
    }
}
