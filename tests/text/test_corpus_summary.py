from vidya.text import corpus_summary


def test_hash_is_of_content_and_order():
    assert corpus_summary.corpus_hash(["ab"]) == corpus_summary.corpus_hash(iter(["ab"]))
    different = [["ab"], ["a", "b"], ["b", "a"], ["ab", ""], []]
    assert len({corpus_summary.corpus_hash(documents) for documents in different}) == len(different)


def test_summary():
    summary = corpus_summary.summarize(["ä", "bc"])
    assert (summary.documents, summary.bytes) == (2, 4)
    assert summary.hash == corpus_summary.corpus_hash(["ä", "bc"])
