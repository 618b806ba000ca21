#!/usr/bin/env python3
"""Fit LightGBM to the rows that `weir train --export` writes, and judge it beside a model of `weir train`.

    weir train transactions.parquet -t handbook.toml --from 2018-05-01 --until 2018-08-15 --export rows.parquet
    weir evaluate transactions.parquet -t handbook.toml --model fraud.safetensors --from 2018-08-08 --until 2018-08-15 --scores model.csv
    benches/trees.py rows.parquet --train 2018-05-01 2018-08-01 --test 2018-08-08 2018-08-15 --handbook transactions.parquet --beside model.csv

The trees read every column that the model is offered, and its neighbourhoods as sums and means (`around_*`, `recent_*`, `others_*`); those
that only count how long the stream has lasted are left out, as the model leaves them out. --inputs takes some of them away. Good rows are
sampled as for the model, at 150,000, and count for what they stand for.

--handbook judges by chapter 3 of the Fraud Detection Handbook: payments of cards that are known to be compromised are dropped, those with a
fraud in the week that ends seven days before the test, and those whose label came in meanwhile. Prints one line for each of those judged.
needs: pip install lightgbm numpy pandas pyarrow scikit-learn
"""
import argparse

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score

GROWING = ("events", "days", "bads", "amount_minor")
GOODS_MAX = 150_000
DELAY_DAYS = 7


def group(name):
    first = name.split(".")[0]
    if first.startswith(("around_", "recent_", "others_")):
        return "neighbours"
    last = name.split(".")[-1]
    states = ("usual_amount", "amount_score", "outliers", "idle_s")
    neighbours = ("bad_streak", "bad_age_s", "recent_bads", "recent_events", "neighbour_activity")
    return "neighbours" if last in neighbours else "states" if first.startswith("entity_") or last in states else "counters"


def rows(path, kind, start, end, names):
    """Ids, whether bad, and figures of the rows of one type in a time."""
    parts, file = [], pq.ParquetFile(path)
    start, end = (pd.Timestamp(day, tz="UTC") for day in (start, end))
    for batch in file.iter_batches(columns=["event_id", "time", "type", "bad", *names]):
        wanted = pc.and_(pc.and_(pc.greater_equal(batch["time"], start), pc.less(batch["time"], end)), pc.equal(batch["type"], kind))
        batch = batch.filter(wanted)
        if len(batch):
            figures = np.stack([batch[name].to_numpy() for name in names], axis=1)
            parts.append((batch["event_id"].to_pandas(), batch["bad"].to_numpy(zero_copy_only=False), figures))
    ids, bads, figures = zip(*parts)
    return pd.concat(ids, ignore_index=True), np.concatenate(bads), np.concatenate(figures)


def fit(figures, bads, seed):
    goods = np.flatnonzero(~bads)
    if len(goods) > GOODS_MAX:
        goods = np.random.RandomState(seed).choice(goods, GOODS_MAX, replace=False)
    chosen = np.concatenate([np.flatnonzero(bads), goods])
    weights = np.where(bads[chosen], 1.0, (~bads).sum() / len(goods))
    trees = lgb.LGBMClassifier(
        n_estimators=300, learning_rate=0.04, num_leaves=15, min_child_samples=40, subsample=0.8, subsample_freq=1, colsample_bytree=0.7,
        reg_lambda=3, random_state=seed, n_jobs=2, deterministic=True, verbose=-1,
    )
    return trees.fit(figures[chosen], bads[chosen], sample_weight=weights)


def handbook(path, test_from, test_to):
    """The payments to be judged, by id: day, card, whether fraud."""
    table = pd.read_parquet(path, columns=["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TX_FRAUD"])
    day = (table.TX_DATETIME.dt.normalize() - pd.Timestamp(0)).dt.days
    first, last = ((pd.Timestamp(text) - pd.Timestamp(0)).days for text in (test_from, test_to))
    fraud = table.TX_FRAUD == 1
    known = set(table.CUSTOMER_ID[fraud & (day >= first - 2 * DELAY_DAYS) & (day < first - DELAY_DAYS)])
    kept = []
    for today in range(first, last):
        known |= set(table.CUSTOMER_ID[fraud & (day == today - DELAY_DAYS - 1)])
        kept.append(table[(day == today) & ~table.CUSTOMER_ID.isin(known)].assign(day=today))
    return pd.concat(kept).rename(columns={"TRANSACTION_ID": "number", "CUSTOMER_ID": "card", "TX_FRAUD": "bad"})


def card_precision(judged, count=100):
    """Mean over days of the compromised cards among those with the highest score; a card that was found is dropped on later days."""
    found, shares = set(), []
    for _, today in judged.groupby("day"):
        cards = today[~today.card.isin(found)].groupby("card").agg(p=("p", "max"), bad=("bad", "max"))
        top = cards.sort_values("p", ascending=False, kind="stable").head(count)
        shares.append(top.bad.sum() / count)
        found |= set(top.index[top.bad == 1])
    return float(np.mean(shares))


def say(name, judged):
    bad, p = judged.bad.to_numpy().astype(int), judged.p.to_numpy().astype(float)
    order = np.argsort(p, kind="stable")
    ventiles = [p[part].mean() / max(bad[part].mean(), 1e-9) for part in np.array_split(order, 20)[:-4:-1]]
    cards = f"  CP@100 {card_precision(judged):.4f}" if "card" in judged else ""
    print(
        f"{name:24s} rows {len(p)} bad {bad.sum()}  AUC {roc_auc_score(bad, p):.4f}  AP {average_precision_score(bad, p):.4f}{cards}"
        f"  Brier {((p - bad) ** 2).mean():.6f}  predicted/observed " + " ".join(f"{ratio:.2f}" for ratio in ventiles),
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--type", default="payment", choices=("payment", "transfer"))
    parser.add_argument("--train", nargs=2, required=True, metavar=("FROM", "UNTIL"))
    parser.add_argument("--test", nargs=2, required=True, metavar=("FROM", "UNTIL"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--inputs", default="counters,states,neighbours", help="of these groups only")
    parser.add_argument("--handbook", metavar="TRANSACTIONS.parquet")
    parser.add_argument("--beside", metavar="SCORES.csv", action="append", default=[], help="of weir evaluate --scores")
    parser.add_argument("--scores", metavar="SCORES.csv", help="write the trees' probabilities of the last seed")
    given = parser.parse_args()

    wanted = given.inputs.split(",")
    names = [name for name in pq.read_schema(given.rows).names[4:] if name.split(".")[-1] not in GROWING and group(name) in wanted]
    _, bads, figures = rows(given.rows, given.type, *given.train, names)
    ids, test_bads, test_figures = rows(given.rows, given.type, *given.test, names)
    test = pd.DataFrame({"event_id": ids, "number": ids.str.extract(r"(\d+)$")[0].astype(int), "bad": test_bads})
    judge = lambda frame: frame
    if given.handbook:
        table = handbook(given.handbook, *given.test)
        judge = lambda frame: table.merge(frame[["number", "p"]], on="number", validate="one_to_one")
    of = "fraud_probability" if given.type == "payment" else "aml_probability"
    for path in given.beside:
        scores = pd.read_csv(path).rename(columns={of: "p"})
        say(path.split("/")[-1], judge(test.merge(scores[["event_id", "p"]], on="event_id", validate="one_to_one")))
    for seed in range(1, given.seeds + 1):
        test["p"] = fit(figures, bads, seed).predict_proba(test_figures)[:, 1]
        say(f"LightGBM, seed {seed}", judge(test))
    if given.scores:
        test.rename(columns={"p": of})[["event_id", of]].to_csv(given.scores, index=False)


main()
