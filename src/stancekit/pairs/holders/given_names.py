"""Given names that tell he from she, from the languages that English news most often has."""

from __future__ import annotations

from stancekit.pairs.holders.nouns import words

MALE_NAMES = words(
    "adam adrian ahmed alan alastair albert alejandro alex alexander ali andrew andrei anthony anton antonio arthur "
    "benjamin ben bernard bill bob boris brian bruce carl carlos charles chris christopher colin craig daniel danny "
    "dave david dennis dieter dmitry dominic donald doug duncan edward emmanuel eric erik ernest evan felix finn "
    "francis frank franz fred fredrik gareth gary gavin geoff george gerald giorgio giovanni giulio glenn gordon "
    "graham greg gregory gunnar gustav hans harold harry hassan henrik henry howard hugh hugo ian igor imran ivan "
    "ivor jack jacob jakub james jamie jan jason javier jd jeff jens jeremy jim jimmy joe joel johan john jonas "
    "jonathan jorge jose joseph josh josiah juan julian karl keith ken kenneth kevin kwame lars laurent lee leo leon "
    "liam louis luca lucas luis luke mads magnus malcolm manuel marc marco marcus mario mark markus martin mateo matt "
    "matthew max michael mick miguel mike mikhail mohamed mohammed nathan neil niall nicholas nick nigel nils norman "
    "oleg oliver omar oscar oskar owen paolo patrick paul pavel pedro pete peter petr philip piers pierre rafael raj "
    "ralph ray richard rob robert robin roger ron ronald rory ross roy rupert russell ryan sam samir samuel sanjay "
    "scott sean sebastian sergei sergey simon stefan stephen steve steven stuart sven ted teo terry theo thomas tim "
    "timothy toby tom tomas tony trevor trygve tariq victor vikram viktor vincent vladimir volodymyr walter wayne "
    "will william xavier yusuf zach hamish callum dougal emeka chidi kofi kwesi tunde bola hiroshi kenji takeshi wei "
    "jun min arjun ravi anil sunil deepak amir farid karim khalid mustafa mehmet emre osman nikolai dimitri kostas "
    "giorgos ioannis matteo lorenzo fabio enrico antoine benoît françois jacques jean luc mathieu olivier philippe "
    "thierry yves klaus jürgen günter wolfgang heinz rolf uwe bjørn leif olav per rasmus søren torsten ulf mikko jari "
    "pekka andrzej piotr krzysztof tomasz marek zoltán gábor istván"
)
FEMALE_NAMES = words(
    "sue eve freya joy june pippa abigail ada agnes ailbhe aisha alice alison amanda amelia amy ana andrea angela "
    "anita ann anna anne annie antonia astrid audrey barbara beatrice bella beth birgitta brenda bridget camilla "
    "carmen carol caroline catherine cecilia charlotte chloe christina christine claire clara claudia dana danielle "
    "deborah deb denise diana donna dorothy eileen elaine eleanor elena elisabeth elizabeth ellen emily emma erika "
    "esther eva fatima fiona frances gabriela gail georgia gillian giulia gloria grace greta hannah harriet hazel "
    "heather helen helena hilary ida ines ingrid ingunn irene iris isabel isabella jacqueline jane janet janice jean "
    "jenna jennifer jenny jessica jill joan joanna joanne judith judy julia julie karen karin kate katarzyna "
    "katherine kathleen kathy katie kelly kirsten laura lauren leila lena leonie leslie lily linda lisa liz louise "
    "lucia lucy lydia maeve mandy margaret maria marie marina marion marta martha mary maya meera megan melanie "
    "melissa mercy michelle miriam moira mona monica nadia nancy naomi natalia natalie natasha nicola nicole nina "
    "nora olga olena olivia pamela patricia paula pauline penny petra philippa priya rachel rania rebecca rhona rita "
    "rosa rose rosemary ruth sally samantha sandra sara sarah saoirse sharon sheila shirley siân sian silvia simone "
    "sofia sofie sonia sophia sophie stella stephanie susan suzanne svetlana sylvia tamika tamsin tara tatiana teresa "
    "theresa tina tracey ursula valerie vanessa vera veronica victoria violet virginia wendy yasmin yvonne zoe ngozi "
    "amara chioma folasade ama akua abena yuki keiko aiko mei ling xiu lakshmi anjali kavita sunita deepa amina "
    "khadija layla mariam zainab ayse elif zeynep eleni ioanna chiara francesca valentina amélie benedetta brigitte "
    "céline chantal élise hélène isabelle margot solène gudrun heike ilse jutta katrin monika sabine annika britta "
    "freja inger kirsi liv maren mette sigrid solveig tuuli agnieszka ewa magda zofia ilona kaja orla niamh"
)
