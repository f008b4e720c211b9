# joblib: loky, and dump/load

# %%

import joblib, os
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


class Scale(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X * 2


def double(X):
    return X * 2


def f():
    joblib.dump(make_pipeline(Scale(), FunctionTransformer(double)), f"{STORE}/m.joblib")
    return type(joblib.load(f"{STORE}/m.joblib")[0]) is Scale


def g():
    return joblib.Parallel(n_jobs=2)(joblib.delayed(double)(i) for i in range(3)), [
        type(x) is Scale for x in joblib.Parallel(n_jobs=2)(joblib.delayed(Scale)() for i in range(1))
    ]


check("dump/load in the phase", launch(f).result())
check("the notebook loads it", type(joblib.load(os.path.join(STORE, f"{STORE}/m.joblib"))[0]) is Scale)
check("loky", launch(g).result() == ([0, 2, 4], [True]))
