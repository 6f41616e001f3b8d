"""The fixed texts of the page in Chinese. The keys are those of ``english.py``."""

from __future__ import annotations

from collections.abc import Mapping

from multiemo.labels.words import CHINESE

TEXTS: Mapping[str, str] = {
    # 标题与结论
    "title": "为什么：{name}",
    "verdict": "模型判断为“{label}”，置信度 {percent}。",
    "verdict_uncertain": "模型不作判断：最可能的是“{label}”，置信度为 {percent}。",
    "verdict_threshold": "置信度达到 {threshold} 才给出标签，以使错误率不超过 {error}。",
    "verdict_no_threshold": "仅凭这些模态，没有任何阈值能使错误率不超过 {error}，因此不给出标签。",
    "verdict_dimensions": "模型的估计：{values}。",
    "verdict_several": "模型在此给出多个标签：{labels}。",
    "verdict_many": "共读取 {count} 个片段，最常见的判断是“{label}”（{count} 个中的 {share} 个）。",
    "verdict_many_dimensions": "共读取 {count} 个片段。{name}最低为 {low}，最高为 {high}。",
    "verdict_uncertain_many": "其中 {count} 个片段模型不作判断。",
    "verdict_strongest": "最确定的是 {time} 处的“{label}”，置信度 {percent}。",
    "basis": "主要依据是{modality}（{points}）。",
    "basis_also": "方向相同的还有：{list}。",
    "basis_against": "方向相反的有：{list}。",
    "basis_none": "没有任何模态使“{label}”的概率偏离其在训练数据中的比例达一个百分点。",
    "not_read": "未读取{modality}（{reason}）。",
    "points": "{value} 个百分点",
    "list_separator": "、",
    "colon": "：",
    "uncertain": "不确定",
    "sentence_separator": "",
    "terminal_more": "--out why.html 生成网页，--json 输出完整的解释",
    "full_stop": "。",
    "warn_synthetic": "该模型用合成数据训练，对真实的人没有任何意义；本页只展示解释的形式。",
    "warn_composite": (
        "该模型用拼合语料训练：文字、声音和面孔来自不同的人，仅按标签配对。它如何结合各模态，不能说明真实的人的情况。"
    ),
    "warn_intended": "对外显情绪的预测不是诊断，也不等于一个人的真实感受。请勿据此对任何人作出决定。",
    # 时间轴
    "timeline": "时间轴",
    "timeline_alt": "{duration} 内 {count} 个片段的时间轴，下方表格内容相同。",
    "timeline_help": "高度表示置信度；三角形标出下文所解释的片段。",
    "timeline_table": "全部片段（表格）",
    "explained_spans": "本页解释的片段",
    "not_explained": "{total} 个片段中有 {count} 个在本页只有预测，没有证据。",
    "time": "时间",
    "label": "标签",
    "confidence": "置信度",
    "words_column": "文字",
    "skipped": "未读取",
    "chosen_all": "",
    "chosen_telling": "选取原因：判断与训练数据中的通常情况相差较大",
    "chosen_conflict": "选取原因：各模态分歧最大",
    "chosen_uncertain": "选取原因：模型在此最难决定",
    "whole_input": "整个输入",
    "span": "{start} 至 {end}",
    # 概率与模态
    "probabilities": "各标签的概率是多少？",
    "probability": "概率",
    "modalities": "是哪种模态决定的？",
    "modalities_help": (
        "各模态使“{label}”的概率增加或减少的百分点。起点为其在训练数据中的比例 {baseline}，终点为 {probability}"
        "（对所有模态组合精确计算的 Shapley 值）。"
    ),
    "modalities_dimensions_help": (
        "各模态使估计值增加或减少的量，起点为训练数据的均值"
        "（对所有模态组合精确计算的 Shapley 值）。"
    ),
    "contribution": "贡献",
    "modality": "模态",
    "alone": "单独判断",
    "interaction_more": "{first}与{second}结合后的作用大于各自之和（{points}）。",
    "interaction_less": "{first}与{second}有部分重复（{points}）。",
    "interaction_none": "各模态的作用可直接相加：没有任何一对使概率的变化超出各自之和达一个百分点。",
    "additive_same": "如果各模态之间没有交互作用，标签不变。",
    "additive_other": "如果各模态之间没有交互作用，标签将是“{label}”。",
    "coalitions": "仅凭各种模态组合时“{label}”的概率",
    "coalition": "仅凭",
    "nothing": "无",
    "conflict": "{first}与{second}相互矛盾：{first}为{first_says}，{second}为{second_says}。",
    "conflict_rate": "矛盾分数 {score}；普通片段中有 {rate} 达到该分数（误报率）。",
    "no_conflict": "{first}与{second}没有明显矛盾（分数 {score}）。",
    # 证据
    "evidence_text": "文字中的依据",
    "evidence_speech": "声音中的依据",
    "evidence_face": "面部的依据",
    "evidence_help": (
        "每一部分的分数是它使“{label}”的对数几率增加的量（方法："
        "{method}；被去除的部分以 {baseline} 代替）。模态的百分点则以训练中的占比为起点，因此两者的正负可能不同。"
    ),
    "evidence_help_dimension": (
        "每一部分的分数是它使“{label}”的估计值增加的量（方法："
        "{method}；被去除的部分以 {baseline} 代替）。"
    ),
    "strongest_for": "最支持“{label}”",
    "strongest_against": "最反对“{label}”",
    "none_for": "没有明显支持“{label}”的部分。",
    "none_clear": "没有明显支持或反对的部分。",
    "unit_word": "词",
    "unit_character": "字",
    "unit_time": "时间段",
    "unit_cue": "语调特征",
    "unit_frame": "视频帧",
    "unit_region": "面部区域",
    "unit_column": "测量特征",
    "unit_crop": "面部热图",
    "unit_spectrogram": "声谱热图",
    "part": "部分",
    "score": "分数",
    "measured": "测量值",
    "all_parts": "全部 {count} 项的表格（{unit}）",
    "more_parts": "其余 {count} 个见下方表格。",
    "voice_alt": "{start} 至 {end} 的音高与音量。音高中位数 {pitch}，范围 {low} 至 {high}。标出的时间段：{marked}。",
    "voice_unvoiced": "{start} 至 {end} 的音量，未检出音高。标出的时间段：{marked}。",
    "pitch": "音高（Hz）",
    "level": "音量（dBFS）",
    "spectrogram": "声谱图",
    "spectrogram_alt": "{low} 至 {high} Hz 的声谱图；{side}最强处位于 {time}，{frequency} Hz。",
    "crop_alt": "{time} 处的面部；{side}最强处位于{place}。",
    "place_top": "上部", "place_middle": "中部", "place_bottom": "下部",
    "place_left": "左侧", "place_centre": "中央", "place_right": "右侧",
    "place": "{row}{column}",
    "faces": "面部及起作用的区域",
    "above": "比参照高 {deviation} 个标准差",
    "below": "比参照低 {deviation} 个标准差",
    "counterfactual": "怎样才会改变标签？",
    "counterfactual_changed": (
        "作如下改变后标签变为“{label}”：{change}。“{explained}”"
        "的概率由 {before} 变为 {after}。已对改变后的输入重新预测加以验证。"
    ),
    "quoted": "“{name}”",
    "change_removed": "去除{parts}",
    "change_more": "{part}增加 {amount}",
    "change_less": "{part}减少 {amount}",
    "counterfactual_none": "尝试了 {tried} 种单项改变，均未改变标签。",
    "trust_passed": "已通过对该模型的检验",
    "trust_passed_as": "以“{unit}”的方式通过了对该模型的检验；图中各格未单独检验",
    "trust_failed": "未通过对该模型的检验",
    "trust_not_measured": "尚未对该模型检验",
    "hidden": "未显示（未通过对该模型的检验）：{unit}（{reason}）。",
    "limits": "本页在此无法说明的内容",
    # 规则
    "rules": "简单规则怎么说？",
    "rules_help": (
        "人工编写的规则（情感词典、语调、面部动作单元）未经训"
        "练，读取同样的输入。规则透明，但不如训练过的模型准确。"
    ),
    "rules_agree": "{modality}：规则一致（“{label}”）。",
    "rules_disagree": "{modality}：规则不一致。规则为“{label}”，模型为“{model}”。",
    "rules_silent": "{modality}：没有适用的规则。",
    "rule": "规则",
    "rule_part": "对象",
    "rule_effect": "作用",
    "rule_source": "来源",
    "rule_table": "适用的规则",
    # 忠实度
    "faithfulness": "这些解释可信到什么程度？",
    "faithfulness_none": "尚未对该模型测量，因此无法得知标出的部分是否就是模型所用的部分。可用下列命令测量：",
    "faithfulness_some": (
        "在 {corpus} 的 {part} 部分的 {clips} 个片段"
        "上测量。去除标出的部分比去除随机部分使分数下降得更快，且打乱模型权重后"
        "结果改变，则该类证据通过检验。"
    ),
    "faithfulness_table": "各类证据的忠实度测量结果",
    "evidence": "证据",
    "result": "结果",
    "deletion": "删除检验（相对随机，95% 区间）",
    "magnitude": "删除检验（相对最大的部分）",
    "shuffled": "与打乱权重后的相似度",
    "stability": "噪声下的稳定性",
    "speakers_clips": "片段数（说话人数）",
    "claims": (
        "去除贡献最大的模态时，{credited} 的片段标签改变；去除随机模态时为 {random}（差值 {low} 至 {high}）。"
    ),
    # 模型
    "model": "模型及其局限",
    "model_name": "名称",
    "model_labels": "可给出的标签",
    "model_dimensions": "估计的维度",
    "model_modalities": "读取的模态",
    "model_trained": "训练数据",
    "trained_real": "真人录音录像",
    "trained_composite": "拼合语料（不同的人按标签配对）",
    "trained_synthetic": "合成数据",
    "model_validation": "验证集（不含训练集中的人）",
    "model_labels_only": "不在此列的情绪无法识别，只会得到最接近的标签。",
    "model_languages": "语言",
    "languages_unknown": "模型中没有记录，请询问训练者",
    "model_abstains": "是否会不作判断",
    "abstains_no": "否：总会给出标签",
    "abstains_yes": "是，以使错误率不超过 {error}",
    "notes": "备注",
    "reading": "如何阅读本页",
    "reading_confidence": (
        "置信度在验证集上校准：置信度为 70% 的片段中约有 70% 确为该标签。换成其他人、麦克风或语言，则可能不准。"
    ),
    "reading_contribution": "贡献说明模型用了什么，不说明人的感受。各项从标签在训练数据中的比例开始，相加得到其概率。",
    "reading_marks": (
        "蓝色、加号、实线下划线：支持该标签。橙色、减号、虚线下划线：反对。"
        "颜色越深，在该图中的分数越大。分数都很小时，颜色都很浅。"
    ),
    "reading_trust": "证据的可信程度取决于检验结果。没有测量忠实度时，标记仅供参考。",
    "reading_counterfactual": "反事实是所尝试的单项改变中能改变标签的最小改变，可能还有其他改变。",
    "reading_print": "本页不加载任何外部内容，也不需要脚本，可以保存、打印和存档。",
    "made": "由 multiemo {version} 生成。{name}",
    # 终端
    # 用语
    "the_text": "文字", "the_speech": "声音", "the_face": "面部",
    "text": "文字", "speech": "声音", "face": "面部",
}  # fmt: skip

#: Names of labels (canonical spelling), dimensions and the words of conflicts.
NAMES: Mapping[str, str] = {
    **CHINESE,
    "valence": "效价",
    "arousal": "唤醒度", "dominance": "支配度", "uncertain": "不确定",
    "integrated gradients": "积分梯度", "occlusion": "遮挡法",
    "Shapley sampling": "Shapley 抽样", "Shapley values": "Shapley 值", "whole": "整体",
    "accuracy": "准确率", "uar": "UAR", "wf1": "WF1", "macro_f1": "宏 F1", "ece": "ECE", "given": "直接给出",
    # 语调特征
    "pitch level": "音高", "pitch range": "音域", "pitch movement": "音高起伏", "pitch slope": "音高走向",
    "loudness": "响度", "loudness range": "响度变化", "speaking rate": "语速", "pauses": "停顿", "brightness": "明亮度",
    "breathiness": "气息声", "roughness": "粗糙度", "jitter": "频率微扰", "shimmer": "振幅微扰", "clarity": "清晰度",
    "articulation": "咬字", "spectrum": "频谱",
    # 单位
    "semitones": "半音", "semitones/s": "半音/秒", "syllables/s": "音节/秒", "dB/octave": "dB/八度",
    "intensity": "（强度）", "presence": "（有无）", "probability": "（概率）",
    # 面部区域
    "forehead": "前额", "brows": "眉", "eyes": "眼", "nose": "鼻", "cheeks": "脸颊", "mouth": "嘴", "chin": "下巴",
    "edge of the crop": "画面边缘",
    # 面部动作单元
    "inner brow raiser": "内眉上抬", "outer brow raiser": "外眉上抬", "brow lowerer": "皱眉",
    "upper lid raiser": "上睑上提",
    "cheek raiser": "面颊上提", "lid tightener": "眼睑收紧", "nose wrinkler": "皱鼻", "upper lip raiser": "上唇上提",
    "nasolabial deepener": "鼻唇沟加深", "lip corner puller": "嘴角上扬", "sharp lip puller": "嘴角急剧上提",
    "dimpler": "嘴角收紧", "lip corner depressor": "嘴角下拉", "lower lip depressor": "下唇下拉",
    "chin raiser": "下巴上抬",
    "lip pucker": "噘嘴", "lip stretcher": "嘴角拉伸", "lip funneler": "唇成漏斗状", "lip tightener": "双唇收紧",
    "lip pressor": "双唇紧压", "lips part": "双唇分开", "jaw drop": "下颌下落", "mouth stretch": "张大嘴",
    "lip suck": "吸唇",
    "eye closure": "闭眼", "blink": "眨眼", "wink": "单眼眨",
}  # fmt: skip

#: Remarks that the package writes most often beside evidence and rules; others stay in English.
REMARKS: Mapping[str, str] = {
    "characters that the model reads as one token stay together": "模型作为一个词元读取的字不拆开",
    "words that the model reads as one token stay together": "模型作为一个词元读取的词不拆开",
    "there is a single picture, so no frames are compared": "只有一幅图像，因此无法比较各帧",
    "irony, and what is only implied, are not recognised": "不能识别反语和言外之意",
    "no word of the text is in the lexicon": "文字中没有词典收录的词",
    "There is no baseline: at least two clips with a voice are needed to compare with.": (
        "没有可比较的基线：至少还需要两个有声音的片段。"
    ),
    "The rules hear how something is said, not what. A voice tells arousal better than valence.": (
        "规则只听语气，不听内容。声音反映唤醒度比反映效价更可靠。"
    ),
    "Telephone bandwidth, noise and the distance to the microphone change level, tension and roughness.": (
        "电话带宽、噪声和与麦克风的距离会改变响度、紧张度和粗糙度。"
    ),
    "There is no baseline, so the resting face of this person counts as expression.": (
        "没有基线，因此此人静止时的面容也被算作表情。"
    ),
    (
        "Prototypes are posed expressions: a face can feel without showing, show without feeling, and the mouth moves "
        "in speech too."
    ): "原型取自摆拍的表情：有感受不一定表露，表露不一定有感受，说话时嘴也会动。",
}
