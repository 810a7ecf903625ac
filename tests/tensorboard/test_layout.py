"""Metadata and manifests: what is understood, and what is left alone."""

import json

import pytest

from keras_arch.tensorboard import layout

NOT_OURS = [b"", b"\xff\xfe", b"{", b"[]", b"3", b"null", b'{"version": 2}', b"[" * 100_000]


def test_what_is_dumped_is_parsed_again():
    names = ["a/b", "<img onerror=alert(1)>", "层", "../../etc"]
    assert layout.parse_vector(layout.dump(names=names, unit="dB")) == {"names": names, "unit": "dB"}
    manifest = {"images": 2, "heat": 2, "labels": ["x", "y"]}
    assert layout.parse_manifest(layout.dump(**manifest)) == manifest


@pytest.mark.parametrize("content", NOT_OURS)
def test_foreign_and_later_content_is_none(content):
    assert layout.parse_vector(content) is None
    assert layout.parse_manifest(content) is None


@pytest.mark.parametrize("wrong", [{"names": "ab"}, {"names": [1]}, {"unit": None}, {"version": 9}])
def test_vectors_with_a_wrong_field_are_none(wrong):
    content = {"version": 1, "names": ["a"], "unit": ""}
    assert layout.parse_vector(json.dumps(content).encode()) is not None
    assert layout.parse_vector(json.dumps(content | wrong).encode()) is None


@pytest.mark.parametrize(
    "wrong",
    [{"images": 0}, {"images": True, "heat": 0, "labels": []}, {"heat": 1}, {"labels": ["a"]}, {"labels": [1, 2]}],
)
def test_manifests_that_contradict_themselves_are_none(wrong):
    content = {"version": 1, "images": 2, "heat": 2, "labels": []}
    assert layout.parse_manifest(json.dumps(content).encode()) is not None
    assert layout.parse_manifest(json.dumps(content | wrong).encode()) is None
