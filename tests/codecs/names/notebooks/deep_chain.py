# a deep chain of functions

# %%


def f0():
    return f1() + 1


def f1():
    return f2() + 1


def f2():
    return f3() + 1


def f3():
    return f4() + 1


def f4():
    return f5() + 1


def f5():
    return f6() + 1


def f6():
    return f7() + 1


def f7():
    return f8() + 1


def f8():
    return f9() + 1


def f9():
    return f10() + 1


def f10():
    return f11() + 1


def f11():
    return f12() + 1


def f12():
    return f13() + 1


def f13():
    return f14() + 1


def f14():
    return f15() + 1


def f15():
    return f16() + 1


def f16():
    return f17() + 1


def f17():
    return f18() + 1


def f18():
    return f19() + 1


def f19():
    return f20() + 1


def f20():
    return f21() + 1


def f21():
    return f22() + 1


def f22():
    return f23() + 1


def f23():
    return f24() + 1


def f24():
    return f25() + 1


def f25():
    return f26() + 1


def f26():
    return f27() + 1


def f27():
    return f28() + 1


def f28():
    return f29() + 1


def f29():
    return f30() + 1


def f30():
    return f31() + 1


def f31():
    return f32() + 1


def f32():
    return f33() + 1


def f33():
    return f34() + 1


def f34():
    return f35() + 1


def f35():
    return f36() + 1


def f36():
    return f37() + 1


def f37():
    return f38() + 1


def f38():
    return f39() + 1


def f39():
    return f40() + 1


def f40():
    return f41() + 1


def f41():
    return f42() + 1


def f42():
    return f43() + 1


def f43():
    return f44() + 1


def f44():
    return f45() + 1


def f45():
    return f46() + 1


def f46():
    return f47() + 1


def f47():
    return f48() + 1


def f48():
    return f49() + 1


def f49():
    return f50() + 1


def f50():
    return f51() + 1


def f51():
    return f52() + 1


def f52():
    return f53() + 1


def f53():
    return f54() + 1


def f54():
    return f55() + 1


def f55():
    return f56() + 1


def f56():
    return f57() + 1


def f57():
    return f58() + 1


def f58():
    return f59() + 1


def f59():
    return f60() + 1


def f60():
    return f61() + 1


def f61():
    return f62() + 1


def f62():
    return f63() + 1


def f63():
    return f64() + 1


def f64():
    return f65() + 1


def f65():
    return f66() + 1


def f66():
    return f67() + 1


def f67():
    return f68() + 1


def f68():
    return f69() + 1


def f69():
    return f70() + 1


def f70():
    return f71() + 1


def f71():
    return f72() + 1


def f72():
    return f73() + 1


def f73():
    return f74() + 1


def f74():
    return f75() + 1


def f75():
    return f76() + 1


def f76():
    return f77() + 1


def f77():
    return f78() + 1


def f78():
    return f79() + 1


def f79():
    return f80() + 1


def f80():
    return f81() + 1


def f81():
    return f82() + 1


def f82():
    return f83() + 1


def f83():
    return f84() + 1


def f84():
    return f85() + 1


def f85():
    return f86() + 1


def f86():
    return f87() + 1


def f87():
    return f88() + 1


def f88():
    return f89() + 1


def f89():
    return f90() + 1


def f90():
    return f91() + 1


def f91():
    return f92() + 1


def f92():
    return f93() + 1


def f93():
    return f94() + 1


def f94():
    return f95() + 1


def f95():
    return f96() + 1


def f96():
    return f97() + 1


def f97():
    return f98() + 1


def f98():
    return f99() + 1


def f99():
    return f100() + 1


def f100():
    return f101() + 1


def f101():
    return f102() + 1


def f102():
    return f103() + 1


def f103():
    return f104() + 1


def f104():
    return f105() + 1


def f105():
    return f106() + 1


def f106():
    return f107() + 1


def f107():
    return f108() + 1


def f108():
    return f109() + 1


def f109():
    return f110() + 1


def f110():
    return f111() + 1


def f111():
    return f112() + 1


def f112():
    return f113() + 1


def f113():
    return f114() + 1


def f114():
    return f115() + 1


def f115():
    return f116() + 1


def f116():
    return f117() + 1


def f117():
    return f118() + 1


def f118():
    return f119() + 1


def f119():
    return f120() + 1


def f120():
    return f121() + 1


def f121():
    return f122() + 1


def f122():
    return f123() + 1


def f123():
    return f124() + 1


def f124():
    return f125() + 1


def f125():
    return f126() + 1


def f126():
    return f127() + 1


def f127():
    return f128() + 1


def f128():
    return f129() + 1


def f129():
    return f130() + 1


def f130():
    return f131() + 1


def f131():
    return f132() + 1


def f132():
    return f133() + 1


def f133():
    return f134() + 1


def f134():
    return f135() + 1


def f135():
    return f136() + 1


def f136():
    return f137() + 1


def f137():
    return f138() + 1


def f138():
    return f139() + 1


def f139():
    return f140() + 1


def f140():
    return f141() + 1


def f141():
    return f142() + 1


def f142():
    return f143() + 1


def f143():
    return f144() + 1


def f144():
    return f145() + 1


def f145():
    return f146() + 1


def f146():
    return f147() + 1


def f147():
    return f148() + 1


def f148():
    return f149() + 1


def f149():
    return f150() + 1


def f150():
    return 0


def top():
    return f0()


check("150 deep", launch(top).result() == 150)
