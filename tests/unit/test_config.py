from pathlib import Path

import pytest
import yaml

from cryosamu.config import Config, Section, parse_config, read_config
from cryosamu.errors import ConfigError, CryosamuError

ROOT = Path(__file__).parents[2]


def fault_of(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(yaml.safe_load(text))
    sentence = str(caught.value)
    assert sentence.startswith("config.yaml: ")
    assert "\n" not in sentence
    return sentence


def leaves(values, prefix=()):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*prefix, key))
        else:
            yield ".".join((*prefix, key))


def test_the_recipes_file_is_the_defaults_and_states_every_key():
    path = ROOT / "config.yaml"
    assert read_config(path) == Config() == read_config(None)
    stated = set(leaves(yaml.safe_load(path.read_text())))
    assert stated == set(leaves(Config().model_dump()))


def test_a_small_file_changes_what_it_names_alone(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("curation: {correlation: {minimum: 0.7}}\ntraining: {learning_rate: 5e-3}\n")
    config = read_config(path)
    assert config.curation.correlation.minimum == 0.7
    assert config.curation.correlation.kind == "cc_mask"
    assert config.training.learning_rate == 0.005  # a string to YAML 1.1, and still a number
    assert config.embedding == Config().embedding


def test_an_empty_file_is_the_recipe(tmp_path):
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert read_config(tmp_path / "c.yaml") == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trainng: {}", ["'trainng' is not a known key", "did you mean 'training'?"]),
        ("training: {learning_rat: 1}", ["'training.learning_rat'", "'learning_rate'"]),
        ("curation: {correlation: {qqqq: 1}}", ["'curation.correlation.qqqq'", "kind, minimum"]),
        ("network: {name: compakt}", ["'network.name'", "'compakt'", "'reference' or 'compact'"]),
        ("training: {steps: many}", ["'training.steps'", "'many'", "integer"]),
        ("training: {steps: yes}", ["'training.steps'", "true or false"]),
        ("training: {steps: 0}", ["'training.steps' is 0", "greater than or equal to 1"]),
        ("training: {crop: 50}", ["'training.crop' is 50", "multiple of 8"]),
        ("embedding: {pooling: {scaled: 7}}", ["'embedding.pooling.scaled' is 7"]),
        ("curation: {correlation: {minimum: .nan}}", ["'curation.correlation.minimum' is nan"]),
        ("curation: {resolution: {minimum: 9}}", ["'curation.resolution'", "9.0 is above"]),
        ("split: {train: 0.5}", ["'split'", "add up to 0.85"]),
        ("split: {pinned: {EMD-1: tset}}", ["'split.pinned.EMD-1' is 'tset'"]),
        ("network: {multipliers: []}", ["'network.multipliers'", "at least 1"]),
        ("enhancement: {window: 48, margin: 24}", ["'enhancement'", "leaves nothing"]),
        ("training: null", ["'training' is None", "hold its keys"]),
        ("[1, 2]", ["'the configuration' is [1, 2]"]),
        ("catalogue: {snapshot: 2026-11-22}", ["'catalogue.snapshot'"]),
    ],
)
def test_a_fault_is_named_with_what_the_key_may_be(text, words):
    sentence = fault_of(text)
    for word in words:
        assert word in sentence


def test_every_fault_is_told_at_once():
    sentence = fault_of("trainng: {}\nnetwork: {name: x, dropout: 2}")
    for key in ("trainng", "network.name", "network.dropout"):
        assert f"'{key}'" in sentence


def test_a_file_that_is_no_yaml_or_not_there_is_named(tmp_path):
    (tmp_path / "c.yaml").write_text("a: [1,\nb: }")
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        read_config(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read_config(tmp_path / "d.yaml")
    with pytest.raises(CryosamuError, match="does not exist"):
        read_config(tmp_path / "none.yaml")


def test_a_bottomless_file_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("[" * 3000)
    with pytest.raises(ConfigError, match=r"a\.yaml: is nested too deeply"):
        read_config(tmp_path / "a.yaml")


def test_settings_do_not_change_once_read():
    config = read_config(None)
    with pytest.raises(ValueError, match="frozen"):
        config.training.steps = 3


def test_every_section_explains_itself_and_refuses_unknown_keys():
    sections = [field.annotation for field in Config.model_fields.values()]
    assert len(sections) > 10
    for section in sections:
        assert issubclass(section, Section)
        assert section.__doc__
        with pytest.raises(ValueError, match="extra"):
            section.model_validate({"no such key": 1})
