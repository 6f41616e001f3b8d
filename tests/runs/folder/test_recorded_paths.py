"""Links of a composite follow its manifests."""

from __future__ import annotations

from multiemo.runs.folder.recorded_paths import mend_links, record_paths


def test_links_of_a_composite_follow_its_manifests(tmp_path):
    project = tmp_path / "project"
    run = project / "runs" / "a"
    run.mkdir(parents=True)
    (project / "data").mkdir()
    (project / "data" / "m.jsonl").touch()
    (run / "composite.speech.media").symlink_to(project / "data")
    record_paths(run, {"speech": project / "data" / "m.jsonl", "fuse": run / "composite.jsonl"}, None)
    moved = project.rename(tmp_path / "moved")
    mend_links(moved / "runs" / "a")
    assert (moved / "runs" / "a" / "composite.speech.media" / "m.jsonl").is_file()
