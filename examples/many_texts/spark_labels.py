"""Labels of texts with Spark: one model in each Python process of the executors.

    spark-submit spark_labels.py BUNDLE INPUT.csv OUTPUT

INPUT has a column `text`. OUTPUT has Parquet files with a column `label` more; null where the model has no answer.
"""

import sys
from functools import cache
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf

import mbert_onnx


@cache
def load(bundle: str) -> Any:
    """Loads the bundle, at a path that all executors have, or `reference`."""
    return mbert_onnx.load(bundle, threads=1)


def main(bundle: str, source: str, output: str) -> None:
    spark = SparkSession.builder.appName("labels").getOrCreate()
    spark.sparkContext.addPyFile(__file__)

    def label(texts: pd.Series) -> pd.Series:
        # Spark sends this function with each task. The module stays in the process, and with it the model.
        from spark_labels import load

        return pd.Series([getattr(one, "label", None) for one in load(bundle).try_many(list(texts))], dtype="object")

    rows = spark.read.csv(source, header=True, multiLine=True, escape='"').where("trim(text) != ''")
    rows.withColumn("label", pandas_udf(label, "string")("text")).write.parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
