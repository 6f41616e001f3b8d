"""Frequent given names and Chinese surnames, for the patterns of :mod:`multiemo.anonymize.words.patterns`."""

from __future__ import annotations

from pathlib import Path


def _words(name: str) -> frozenset[str]:
    return frozenset(Path(__file__).with_name(name).read_text("utf-8").split())


#: Frequent English given names, in lower case. Those that are also common words (Will, Mark, May, Hope) are left out.
GIVEN_NAMES = _words("given_names.txt")
#: Words that are often capitalised inside a sentence and are not names.
CAPITALISED = _words("not_names.txt")
#: The hundred most frequent Chinese surnames, one character each, and frequent ones of two.
SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦傅方白邹孟熊秦邱江尹薛"
    "闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
DOUBLE_SURNAMES = ("欧阳", "上官", "司马", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "夏侯")
