# a cell's instance is a value, also while it has no state: the variable that holds it may get some

# %%


class Model:
    def fit(self, x):
        self.coef = x
        return self


model = Model()
TAG = object()


def research(given):
    return model, given, TAG


def planning(research):
    model.fit(3)  # another use of the notebook's name
    return [vars(each) for each in research[:2]], research[2] is TAG


t = launch(research, given=model)
check("as it was returned", relaunch(planning, research=t).result() == ([{}, {}], True))
model.fit(99)
baseline, given, tag = t.result()
check("read after the notebook went on", vars(baseline) == vars(given) == {} and baseline is not model)
check("object() has only its identity", tag is TAG)
